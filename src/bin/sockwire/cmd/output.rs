//! Standard output and colour: data goes here, talk goes to stderr.
