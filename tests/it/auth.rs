//! One authentication layer around everything, and what the front door answers with it: the application as it is assembled,
//! over real sockets.

mod browsers;
mod credentials;
mod ending;
mod health;
mod hostile;
mod kit;
mod order;
mod paths;
mod posture;
mod sessions;
mod sweep;
