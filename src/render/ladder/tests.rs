//! Ladders of made-up stories.
