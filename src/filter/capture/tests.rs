//! Which packets compiled filters choose.
