//! Every route on one screen. The version is off the path by now, and the slashes inside image
//! names are escaped (`target`).

use axum::Router;
use axum::routing::{MethodFilter, on};

use super::error::ApiError;
use super::{absent, archives, build, containers, exec, images, networks, system, volumes};
use crate::engine::Engine;

/// Builds the router and, for the test that every route is tried, the list of what is in it.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:path,)*) => {
        fn table() -> Router<Engine> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))*
        }

        /// Method and path of every route.
        #[cfg(test)]
        pub(super) const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];
    };
}

routes! {
    // The engine itself
    HEAD "/_ping" => system::ping,
    GET "/_ping" => system::ping,
    GET "/version" => system::version,
    GET "/info" => system::info,
    POST "/auth" => system::auth,
    GET "/events" => system::events,
    GET "/system/df" => system::disk_usage,

    // Containers
    GET "/containers/json" => containers::list,
    POST "/containers/create" => containers::create,
    POST "/containers/prune" => containers::prune,
    GET "/containers/{id}/json" => containers::inspect,
    DELETE "/containers/{id}" => containers::remove,
    POST "/containers/{id}/start" => containers::start,
    POST "/containers/{id}/stop" => containers::stop,
    POST "/containers/{id}/restart" => containers::restart,
    POST "/containers/{id}/kill" => containers::kill,
    POST "/containers/{id}/pause" => containers::pause,
    POST "/containers/{id}/unpause" => containers::unpause,
    POST "/containers/{id}/rename" => containers::rename,
    POST "/containers/{id}/update" => containers::update,
    POST "/containers/{id}/resize" => containers::resize,
    POST "/containers/{id}/wait" => containers::wait,
    POST "/containers/{id}/attach" => containers::attach,
    GET "/containers/{id}/attach/ws" => containers::attach_websocket,
    GET "/containers/{id}/logs" => containers::logs,
    GET "/containers/{id}/top" => containers::top,
    GET "/containers/{id}/stats" => containers::stats,
    GET "/containers/{id}/changes" => containers::changes,
    GET "/containers/{id}/export" => containers::export,
    HEAD "/containers/{id}/archive" => containers::stat_archive,
    GET "/containers/{id}/archive" => containers::get_archive,
    PUT "/containers/{id}/archive" => containers::put_archive,

    // Commands in containers
    POST "/containers/{id}/exec" => exec::create,
    POST "/exec/{id}/start" => exec::start,
    POST "/exec/{id}/resize" => exec::resize,
    GET "/exec/{id}/json" => exec::inspect,

    // Images
    GET "/images/json" => images::list,
    POST "/images/create" => images::create,
    POST "/images/prune" => images::prune,
    GET "/images/search" => images::search,
    GET "/images/get" => archives::save_all,
    POST "/images/load" => archives::load,
    GET "/images/{name}/get" => archives::save_one,
    GET "/images/{name}/json" => images::inspect,
    GET "/images/{name}/history" => images::history,
    POST "/images/{name}/push" => images::push,
    POST "/images/{name}/tag" => images::tag,
    DELETE "/images/{name}" => images::remove,
    GET "/distribution/{name}/json" => images::distribution,
    POST "/commit" => archives::commit,
    POST "/build" => build::build,
    POST "/build/prune" => absent::prune_build_cache,
    POST "/session" => absent::buildkit,
    POST "/grpc" => absent::buildkit,

    // Volumes
    GET "/volumes" => volumes::list,
    POST "/volumes/create" => volumes::create,
    POST "/volumes/prune" => volumes::prune,
    GET "/volumes/{name}" => volumes::inspect,
    PUT "/volumes/{name}" => absent::swarm,
    DELETE "/volumes/{name}" => volumes::remove,

    // Networks
    GET "/networks" => networks::list,
    POST "/networks/create" => networks::create,
    POST "/networks/prune" => networks::prune,
    GET "/networks/{id}" => networks::inspect,
    DELETE "/networks/{id}" => networks::remove,
    POST "/networks/{id}/connect" => networks::connect,
    POST "/networks/{id}/disconnect" => networks::disconnect,

    // What a node without a swarm answers
    GET "/plugins" => absent::no_plugins,
    GET "/plugins/{*rest}" => absent::plugins,
    POST "/plugins/{*rest}" => absent::plugins,
    DELETE "/plugins/{*rest}" => absent::plugins,
    GET "/swarm" => absent::swarm,
    POST "/swarm/init" => absent::start_swarm,
    POST "/swarm/join" => absent::start_swarm,
    POST "/swarm/leave" => absent::swarm,
    POST "/swarm/update" => absent::swarm,
    POST "/swarm/unlock" => absent::swarm,
    GET "/swarm/unlockkey" => absent::swarm,
    GET "/nodes" => absent::swarm,
    GET "/nodes/{*rest}" => absent::swarm,
    POST "/nodes/{*rest}" => absent::swarm,
    DELETE "/nodes/{*rest}" => absent::swarm,
    GET "/services" => absent::swarm,
    GET "/services/{*rest}" => absent::swarm,
    POST "/services/{*rest}" => absent::swarm,
    DELETE "/services/{*rest}" => absent::swarm,
    GET "/tasks" => absent::swarm,
    GET "/tasks/{*rest}" => absent::swarm,
    GET "/secrets" => absent::swarm,
    GET "/secrets/{*rest}" => absent::swarm,
    POST "/secrets/{*rest}" => absent::swarm,
    DELETE "/secrets/{*rest}" => absent::swarm,
    GET "/configs" => absent::swarm,
    GET "/configs/{*rest}" => absent::swarm,
    POST "/configs/{*rest}" => absent::swarm,
    DELETE "/configs/{*rest}" => absent::swarm,
}

pub(super) fn router(engine: Engine) -> Router {
    let not_found = async || ApiError::page_not_found();
    table()
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .with_state(engine)
}
