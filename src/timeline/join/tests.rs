//! What the join makes of logs.
