"""What `./run aws` knows of the templates in deploy/aws. It makes nothing and changes nothing."""
