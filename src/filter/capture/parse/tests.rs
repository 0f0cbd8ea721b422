//! What the parser makes of expressions, and what it says of broken ones.
