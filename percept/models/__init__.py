"""Encoders: loading, export, embedding cache, and the embedded percept-tiny."""
