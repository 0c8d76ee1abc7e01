"""Endpoints that others tell: the pods of a Service of Kubernetes, followed while they come and go.

    watcher = EndpointWatcher(KubernetesApi(kubeconfig), changed=publish, ...)
    await watcher.prepare(gateway.upstreams)
    publish(watcher.watch(gateway.upstreams))

`prepare` waits for the first list before a configuration goes live, bounded; `watch` gives what is known when it does,
and `changed` gets all that follows; `with_endpoints` puts either over the compiled snapshot.
"""

from control_plane.endpoints.overlay import with_endpoints
from control_plane.endpoints.slices import Endpoint, Moving
from control_plane.endpoints.source import KubernetesApi
from control_plane.endpoints.watcher import EndpointWatcher

__all__ = ["Endpoint", "EndpointWatcher", "KubernetesApi", "Moving", "with_endpoints"]
