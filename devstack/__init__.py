"""What `./run` does: private servers, the five services and the demo, on one machine, all on 127.0.0.1."""
