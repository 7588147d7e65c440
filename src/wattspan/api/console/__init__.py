"""The console: static files that use nothing but the API. `static/` is shipped as it is; there is no build step."""
