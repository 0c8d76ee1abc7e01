"""A service that answers nothing, as a process: `python -m tests.support.plain_service` with a service's flags."""

import sys
from collections.abc import Collection, Mapping

import grpc

from service_kit.contract import AUTHZ_POLICY_TYPE
from service_kit.metrics import process_registry
from service_kit.serve import Service, run, serve
from service_kit.settings import environment, parsed_service_settings, service_parser

DEADLY = b"deadly"


class Fragile:
    """A consumer with a fault: one policy makes it raise what nobody expects."""

    def apply(self, type_url: str, changed: Mapping[str, bytes], removed: Collection[str]) -> None:
        if DEADLY in changed.values():
            raise RuntimeError("a fault in the program")

    @property
    def awaits(self) -> Collection[str]:
        return ()


def main() -> None:
    parser = service_parser("plain", "A service that answers nothing.", environment())
    settings, _ = parsed_service_settings(parser, sys.argv[1:])
    service = Service(
        name="plain",
        rpc=grpc.method_handlers_generic_handler("test.Plain", {}),
        types=(AUTHZ_POLICY_TYPE,),
        consumer=Fragile(),
        registry=process_registry(),
    )
    run(serve(service, settings))


if __name__ == "__main__":
    main()
