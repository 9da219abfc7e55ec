"""Before Snakemake submits to Kubernetes: what is missing is one line, and a flaw of the executor plugin is fixed.

Called by ``workflow/profiles/kubernetes/config.yaml`` while Snakemake reads its settings, in the main process alone.
"""

import functools
import os
import shutil
import sys

from embedgrad.runtime.cluster import plugin

# Of the environment, what jobs need to know; handed on in a Secret.
HANDED_ON = ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "EMBEDGRAD_MIRROR")


def prepare() -> None:
    """Check what the profile needs, and patch the plugin.

    Raises:
        SystemExit: a package or rsync is not installed; says how to install it.
    """
    plugin("kubernetes", "snakemake_storage_plugin_fs")
    if not shutil.which("rsync"):
        sys.exit("profile kubernetes: rsync is not installed; results are copied with it (apt install rsync)")
    patch()


def handed_on() -> list[str]:
    """Names of the variables that are set; Snakemake ends with a traceback at one that is not."""
    return [name for name in HANDED_ON if os.environ.get(name)]


def patch() -> None:
    """Make the plugin (0.5.1) survive a pod that fails, and say in one line that no cluster is named.

    Of a failed pod it wants the log of the container before, which a pod that is never restarted does not have. The server's
    refusal then ends the whole run, without a retry, and other pods run on unwatched.
    """
    import kubernetes
    from snakemake_interface_common.exceptions import WorkflowError

    read, load = kubernetes.client.CoreV1Api.read_namespaced_pod_log, kubernetes.config.load_incluster_config

    @functools.wraps(read)
    def read_log(self: object, name: str, namespace: str, previous: bool = False, **more: object) -> str:
        try:
            return read(self, name=name, namespace=namespace, **more)
        except kubernetes.client.ApiException as error:
            return f"no log: {error.reason}"  # a machine that went away took it along

    @functools.wraps(load)
    def load_config(*arguments: object, **more: object) -> None:
        try:
            load(*arguments, **more)
        except kubernetes.config.ConfigException:
            raise WorkflowError(
                "profile kubernetes: no cluster is named; set KUBECONFIG, or start Snakemake in a pod."
            ) from None

    kubernetes.client.CoreV1Api.read_namespaced_pod_log = read_log
    kubernetes.config.load_incluster_config = load_config
