//! Text forms of every stage.
