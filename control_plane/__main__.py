from service_kit.settings import without_grpc_fork_handlers

without_grpc_fork_handlers()

from control_plane.main import main  # noqa: E402 - gRPC reads the variable when it is imported

main()
