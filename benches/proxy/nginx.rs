//! The configuration for nginx, and where nginx is.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// nginx, where it is on the `PATH`.
pub(crate) fn find() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nginx")).find(|candidate| candidate.is_file())
}

/// A reverse proxy with kept-alive connections on both sides.
///
/// `folder` is for whatever nginx wants to write.
pub(crate) fn config(folder: &Path, listen: SocketAddr, upstream: SocketAddr, workers: usize) -> String {
    let folder = folder.display();
    // With several workers each gets a listening socket of its own; otherwise
    // one of them takes most of so few connections.
    let reuse = if workers > 1 { " reuseport" } else { "" };
    format!(
        r#"worker_processes {workers};
pid "{folder}/nginx.pid";
error_log stderr warn;
daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path "{folder}/client_body";
  proxy_temp_path "{folder}/proxy";
  fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi";
  scgi_temp_path "{folder}/scgi";
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 16m;
  client_body_buffer_size 1m;
  upstream mcp {{
    server {upstream};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen {listen}{reuse} backlog=1024;
    location / {{
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_read_timeout 600s;
      # An answer that is larger than the buffers waits for its reader; it is
      # never written to a file.
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"#
    )
}
