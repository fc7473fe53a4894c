"""The published AsyncAPI document: generated from contracts, handlers' signatures and topology, then read.

`generate` makes the document, `render` writes it, `reading` takes the topology and the consumers out of it again,
`factory` gives FastStream's command line one service's part of it. docs/asyncapi-profile.md states its extensions.
"""
