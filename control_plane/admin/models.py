"""Language models over gRPC and over HTTP: `GET /models`, of one `GET /models?name=NAME`."""

from typing import Final

import grpc
from starlette.routing import Route

from control_plane.admin.calls import Call, Offer, Said, Served, calls_routes, calls_rpc
from control_plane.audit import Act
from control_plane.operations.models import SERVICE, ModelOperations, ModelsReport, NoSuchModel
from tollgate_pb.tollgate.admin.v1 import models_pb2 as models_pb


async def _models(do: ModelOperations, asked: models_pb.ListModelsRequest, _act: Act) -> ModelsReport:
    return do.models(asked.name)


OFFER: Final = Offer[ModelOperations](
    service=SERVICE,
    calls=(Call("ListModels", models_pb.ListModelsRequest, models_pb.ModelsReport, ("GET", "/models"), _models),),
    error=NoSuchModel,
    refusals={},
    otherwise=Said(grpc.StatusCode.NOT_FOUND, 404, "not_found"),
)


def models_rpc(served: Served[ModelOperations]) -> grpc.GenericRpcHandler:
    """The gRPC service."""
    return calls_rpc(OFFER, served)


def models_routes(served: Served[ModelOperations]) -> tuple[Route, ...]:
    """The same over HTTP."""
    return calls_routes(OFFER, served)
