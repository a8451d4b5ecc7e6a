//! The sockets around `answer`.
