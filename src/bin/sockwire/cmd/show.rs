//! What `capture` and `read` share: from a source to lines, trees, bytes, JSON and files.
