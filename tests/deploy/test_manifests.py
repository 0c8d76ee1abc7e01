"""The Kubernetes manifests, and every mistake that a validator of schemas lets pass, made in them on purpose."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import Manifests, findings, loaded
from tests.support.manifests.documents import EXAMPLES, KUSTOMIZATION

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
Break = Callable[[Any], object]


@pytest.fixture
def manifests() -> Manifests:
    return loaded(FOLDER)


def test_nothing_is_wrong(manifests, tmp_path):
    assert findings(manifests, tmp_path) == []


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.37"])
def test_every_document_fits_the_schema(manifests, version):
    for document in manifests.documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_every_file_is_applied_or_an_example(manifests):
    assert {path.name for path in FOLDER.glob("*.yaml")} == {
        KUSTOMIZATION,
        *EXAMPLES,
        *manifests.kustomization["resources"],
    }


def test_the_example_of_the_secret_opens_nothing(manifests):
    (secret,) = manifests.of("Secret")

    assert set(secret["stringData"].values()) == {""}


class Parts:
    """The documents by short names, for the table below."""

    def __init__(self, manifests: Manifests) -> None:
        self.kustomization = manifests.kustomization
        self._manifests = manifests
        self.gateway = self.document("Deployment", "tollgate")
        self.store = self.document("StatefulSet", "tollgate-store")
        self.configuration = self.document("ConfigMap", "tollgate-configuration")
        self.service = self.document("Service", "tollgate")
        self.scaler = self.document("HorizontalPodAutoscaler", "tollgate")
        self.budget = self.document("PodDisruptionBudget", "tollgate")
        self.policy = self.document("NetworkPolicy", "gateway")
        self.pod = self.gateway["spec"]["template"]["spec"]

    def document(self, kind: str, name: str) -> Any:
        document = self._manifests.named(kind, name)
        assert document is not None
        return document

    def container(self, name: str) -> Any:
        return next(found for found in self.pod["containers"] if found["name"] == name)

    def variable(self, container: str, name: str) -> Any:
        return next(found for found in self.container(container)["env"] if found["name"] == name)

    def volume(self, name: str) -> Any:
        return next(found for found in self.pod["volumes"] if found["name"] == name)

    def routes(self, old: str, new: str) -> None:
        text = self.configuration["data"]["gateway.yaml"]
        assert old in text
        self.configuration["data"]["gateway.yaml"] = text.replace(old, new)


def put(place: Any, **fields: Any) -> None:
    place.update(fields)


def probe_command(it: Parts) -> list[str]:
    command: list[str] = it.container("envoy")["livenessProbe"]["exec"]["command"]
    return command


def drain_hook() -> Any:
    flags = ("--drain-delay", "5", "--drain-patience", "60")
    return {"preStop": {"exec": {"command": ["python3", "-m", "tollgate_cli.container", "outlast", *flags]}}}


BROKEN = [
    # names
    ("a name with capitals", lambda it: put(it.configuration["metadata"], name="Tollgate"), "is no valid name"),
    ("a Service that starts with a digit", lambda it: put(it.service["metadata"], name="1st"), "is no valid name"),
    ("a container's name", lambda it: put(it.container("authz"), name="authz_service"), "no valid container name"),
    ("two containers of one name", lambda it: put(it.container("authz"), name="envoy"), "envoy is there twice"),
    ("a long name of a port", lambda it: put(it.container("authz")["ports"][0], name="authorization-health"),
     "no valid port name"),
    ("a label with a space", lambda it: put(it.service["metadata"]["labels"], app="a b"), "is no valid label"),
    ("another namespace", lambda it: put(it.service["metadata"], namespace="default"), "not in the namespace"),
    ("a namespace that is not made", lambda it: put(it.kustomization, namespace="other"), "is not made"),
    ("a version that is gone", lambda it: put(it.scaler, apiVersion="autoscaling/v2beta2"), "is no version"),
    ("a number as a variable", lambda it: put(it.variable("authz", "TOLLGATE_PROBE"), value=9101), "is no text"),
    # selectors
    ("a workload that selects others", lambda it: put(it.gateway["spec"]["selector"]["matchLabels"], a="b"),
     "does not select its own pods"),
    ("a workload that selects too many",
     lambda it: it.gateway["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"), "another workload"),
    ("a Service that selects nobody", lambda it: put(it.service["spec"]["selector"], a="b"),
     "Service tollgate: selects the pods of 0"),
    ("a budget that selects nobody", lambda it: put(it.budget["spec"]["selector"]["matchLabels"], a="b"),
     "PodDisruptionBudget tollgate: selects the pods of 0"),
    ("a policy that selects nobody", lambda it: put(it.policy["spec"]["podSelector"]["matchLabels"], a="b"),
     "NetworkPolicy gateway: selects the pods of 0"),
    ("a policy for a port that is not there", lambda it: put(it.policy["spec"]["ingress"][0]["ports"][0], port=80),
     "opens the port 80"),
    ("a policy that forgets a port", lambda it: it.policy["spec"]["ingress"].pop(0), "reach its port 8800"),
    ("pods spread by another label",
     lambda it: put(it.pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], a="b"),
     "spreads other pods"),
    ("a target port that nobody has", lambda it: put(it.service["spec"]["ports"][0], targetPort="web"), "the port web"),
    # ports and probes
    ("a port out of range", lambda it: put(it.container("authz")["ports"][0], containerPort=91010), "91010 is no port"),
    ("a Service's port out of range", lambda it: put(it.service["spec"]["ports"][0], port=0), "0 is no port"),
    ("one port twice", lambda it: put(it.container("authz")["ports"][0], containerPort=9102), "taken twice"),
    ("two handlers of a probe", lambda it: put(it.container("envoy")["livenessProbe"], tcpSocket={"port": "http"}),
     "exactly one handler, not 2"),
    ("no handler of a probe", lambda it: it.container("envoy")["livenessProbe"].pop("exec"),
     "exactly one handler, not 0"),
    ("Envoy's life through its own listener",
     lambda it: put(it.container("envoy"), livenessProbe=it.container("envoy")["readinessProbe"]),
     "livenessProbe: does not ask Envoy at"),
    ("a probe of a kind that is not there", lambda it: probe_command(it).insert(3, "listeners"),
     "livenessProbe: does not ask Envoy at"),
    ("a probe of another socket",
     lambda it: put(it.variable("envoy", "TOLLGATE_ENVOY_ADMIN"), value="unix:/run/tollgate/admin.sock"),
     "livenessProbe: does not ask Envoy at unix:/run/tollgate/admin.sock"),
    ("a probe of an undeclared port", lambda it: put(it.container("authz")["livenessProbe"]["grpc"], port=9103),
     "asks the port 9103"),
    ("a gRPC probe by name", lambda it: put(it.container("authz")["livenessProbe"]["grpc"], port="authz-health"),
     "take the number"),
    ("a probe without a path", lambda it: put(it.container("envoy")["readinessProbe"]["httpGet"], path="health"),
     "asks for no path"),
    ("no readiness", lambda it: it.container("envoy").pop("readinessProbe"), "has no readinessProbe"),
    ("liveness that must succeed twice", lambda it: put(it.container("envoy")["livenessProbe"], successThreshold=2),
     "must be 1"),
    ("a probe slower than its period", lambda it: put(it.container("envoy")["livenessProbe"], timeoutSeconds=20),
     "longer than its period"),
    # resources and scaling
    ("a request over its limit", lambda it: put(it.container("authz")["resources"]["requests"], memory="1Gi"),
     "requests more memory"),
    ("no limit of memory", lambda it: it.container("authz")["resources"].pop("limits"), "memory has no limit"),
    ("no request of CPU", lambda it: it.container("authz")["resources"]["requests"].pop("cpu"), "requests no cpu"),
    ("no quantity", lambda it: put(it.container("authz")["resources"]["limits"], memory="256 MB"), "is no quantity"),
    ("a budget with both bounds", lambda it: put(it.budget["spec"], minAvailable=1), "either minAvailable or"),
    ("a budget without a bound", lambda it: it.budget["spec"].pop("maxUnavailable"), "either minAvailable or"),
    ("a budget that forbids everything", lambda it: put(it.budget["spec"], maxUnavailable=0), "no pod may ever go"),
    ("fewest pods above most", lambda it: put(it.scaler["spec"], minReplicas=20), "not between 1 and maxReplicas"),
    ("a scaler of nothing", lambda it: put(it.scaler["spec"]["scaleTargetRef"], name="gateway"), "no Deployment"),
    ("a number of pods beside a scaler", lambda it: put(it.gateway["spec"], replicas=2), "each apply would undo"),
    # references
    ("another ConfigMap", lambda it: put(it.volume("configuration")["configMap"], name="routes"), "no ConfigMap"),
    ("a key that is not in the ConfigMap",
     lambda it: put(it.volume("configuration")["configMap"], items=[{"key": "routes.yaml", "path": "gateway.yaml"}]),
     "has no key routes.yaml"),
    ("another Secret",
     lambda it: put(it.variable("ratelimit", "STORE_PASSWORD")["valueFrom"]["secretKeyRef"], name="other"),
     "no Secret other"),
    ("a key that is not in the Secret",
     lambda it: put(it.variable("ratelimit", "STORE_PASSWORD")["valueFrom"]["secretKeyRef"], key="other"),
     "has no key other"),
    ("a variable before the one it refers to", lambda it: it.container("ratelimit")["env"].reverse(),
     "no variable STORE_PASSWORD stands further up"),
    ("a mount without a volume", lambda it: it.pod["volumes"].remove(it.volume("tmp")), "there is no volume tmp"),
    ("a volume that nobody mounts", lambda it: it.pod["volumes"].append({"name": "spare", "emptyDir": {}}),
     "spare is mounted nowhere"),
    ("a volume of two sources", lambda it: put(it.volume("tmp"), hostPath={"path": "/tmp"}), "exactly one source"),
    ("two volumes at one path", lambda it: put(it.container("authz")["volumeMounts"][1], mountPath="/run/tollgate"),
     "mounted at one path"),
    ("a relative mount", lambda it: put(it.container("authz")["volumeMounts"][0], mountPath="run"), "no path to mount"),
    ("a file of a ConfigMap by itself",
     lambda it: put(it.container("control-plane")["volumeMounts"][1], subPath="gateway.yaml"), "never follows an edit"),
    ("another ServiceAccount", lambda it: put(it.pod, serviceAccountName="other"), "no ServiceAccount other"),
    ("a StatefulSet without its Service", lambda it: put(it.store["spec"], serviceName="other"), "no headless Service"),
    # endings
    ("a pod's end before the drain's", lambda it: put(it.pod, terminationGracePeriodSeconds=60), "the pod has 60 s"),
    ("a pod's end just when the last one goes", lambda it: put(it.pod, terminationGracePeriodSeconds=85),
     "authz: ends after 85 s at most, the pod has 85 s"),
    ("a drain that its container does not know of",
     lambda it: put(it.variable("envoy", "TOLLGATE_DRAIN_PATIENCE"), value="120"),
     "envoy: ends after 130 s at most, the pod has 90 s"),
    ("a drain that its neighbours do not know of",
     lambda it: put(it.variable("envoy", "TOLLGATE_DRAIN_PATIENCE"), value="65"), "75 s, while Envoy may need 75 s"),
    ("Envoy drained twice", lambda it: put(it.container("envoy"), lifecycle=drain_hook()),
     "envoy: ends after 135 s at most"),
    ("a sleep before the drain",
     lambda it: put(it.container("envoy"), lifecycle={"preStop": {"sleep": {"seconds": 9}}}),
     "authz: is told to stop after 75 s, while Envoy may need 79 s"),
    ("a hook of somebody else's",
     lambda it: put(it.container("envoy"), lifecycle={"preStop": {"exec": {"command": ["sleep", "65"]}}}),
     "nobody knows how long"),
    ("an authorizer that leaves first", lambda it: it.container("authz").pop("lifecycle"),
     "authz: is told to stop after 0 s, while Envoy may need 70 s"),
    # security
    ("root", lambda it: put(it.pod["securityContext"], runAsUser=0), "runAsUser is not 10001"),
    ("root by a container", lambda it: put(it.container("envoy")["securityContext"], runAsUser=0), "loosens the pod's"),
    ("a writable file system", lambda it: it.container("envoy")["securityContext"].pop("readOnlyRootFilesystem"),
     "readOnlyRootFilesystem is not True"),
    ("capabilities", lambda it: it.container("envoy")["securityContext"].pop("capabilities"), "capabilities is not"),
    ("no seccomp", lambda it: it.pod["securityContext"].pop("seccompProfile"), "seccompProfile is not"),
    ("a token of the API server", lambda it: it.pod.pop("automountServiceAccountToken"), "automountService"),
    ("variables of Services", lambda it: it.pod.pop("enableServiceLinks"), "enableServiceLinks is not False"),
    ("the host's network", lambda it: put(it.pod, hostNetwork=True), "hostNetwork is the host's"),
    # images
    ("an image without a version", lambda it: put(it.container("envoy"), image="tollgate-envoy"), "names no version"),
    ("the latest image", lambda it: put(it.container("envoy"), image="tollgate-envoy:latest"), "names no version"),
    ("another version than the kustomization's", lambda it: put(it.container("envoy"), image="tollgate-envoy:0.0.1"),
     "the kustomization does not name"),
    # our own processes
    ("a setting that nobody has", lambda it: put(it.variable("authz", "TOLLGATE_PROBE"), name="TOLLGATE_PROBES"),
     "no process has the setting TOLLGATE_PROBES"),
    ("a flag that nobody has", lambda it: it.container("control-plane")["args"].append("--port=1"), "--port=1"),
    ("an address that is none", lambda it: put(it.variable("authz", "TOLLGATE_LISTEN"), value="/run/authz.sock"),
     "is no address"),
    ("a hook with a flag that nobody has",
     lambda it: it.container("authz")["lifecycle"]["preStop"]["exec"]["command"].append("--now"), "preStop: "),
    ("a module that is not there", lambda it: put(it.container("authz"), command=["python", "-m", "authz"]),
     "there is no module authz"),
    ("a configuration that is not mounted",
     lambda it: put(it.container("control-plane"), command=["python", "-m", "control_plane", "/etc/other"]),
     "is mounted from nowhere"),
    ("a configuration that does not compile", lambda it: it.routes("upstreams: [ollama]", "upstreams: [none]"),
     "does not compile"),
    ("a configuration without its variable",
     lambda it: it.container("control-plane")["env"].remove(it.variable("control-plane", "GATEWAY_BEARER_TOKEN")),
     "does not compile"),
    ("a listener on another port", lambda it: it.routes("0.0.0.0:8800", "0.0.0.0:8080"), "listens on 8080"),
    ("a listener on loopback", lambda it: it.routes("0.0.0.0:8800", "127.0.0.1:8800"), "nobody outside the pod"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "said"), [pytest.param(mistake, said, id=name) for name, mistake, said in BROKEN])
def test_a_mistake_is_found(mistake: Break, said: str, manifests, tmp_path):
    mistake(Parts(manifests))

    assert any(said in finding for finding in findings(manifests, tmp_path)), findings(manifests, tmp_path)


@pytest.mark.parametrize(
    ("address", "port", "protocol", "allowed"),
    [
        pytest.param("93.184.215.14", 443, "TCP", True, id="an upstream"),
        pytest.param("169.254.20.10", 53, "UDP", True, id="the DNS cache of a node"),
        pytest.param("169.254.20.10", 53, "TCP", True, id="the DNS cache of a node, long answers"),
        pytest.param("169.254.20.10", 80, "TCP", False, id="nothing else of the node"),
        pytest.param("169.254.169.254", 80, "TCP", False, id="the metadata service of a cloud"),
        pytest.param("169.254.169.254", 53, "UDP", False, id="its resolver"),
        pytest.param("fd00:ec2::254", 80, "TCP", False, id="the metadata service over IPv6"),
    ],
)
def test_where_a_gateway_may_connect_to(address, port, protocol, allowed, manifests):
    rules = Parts(manifests).policy["spec"]["egress"]

    assert any(egress_allows(rule, address, port, protocol) for rule in rules) == allowed


def egress_allows(rule: Any, address: str, port: int, protocol: str) -> bool:
    """Whether a rule lets a pod connect to what is no pod."""
    blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
    named = any(
        ip_address(address) in ip_network(block["cidr"])
        and not any(ip_address(address) in ip_network(hole) for hole in block.get("except", []))
        for block in blocks
    )
    return named and ("ports" not in rule or {"port": port, "protocol": protocol} in rule["ports"])


def test_what_kubernetes_reads_has_no_anchors_left(manifests):
    """Aliases would let a test break two places at once, and show nothing of the second."""
    assert "&id" not in yaml.safe_dump_all(manifests.documents)
