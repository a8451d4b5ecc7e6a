//! Query → response: one pure function, `answer`.
