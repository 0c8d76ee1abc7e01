from service_kit.collector import without_collections
from service_kit.settings import without_grpc_fork_handlers

without_grpc_fork_handlers()

with without_collections():  # what is imported lives as long as the process
    from control_plane.main import main  # gRPC reads the variable when it is imported

main()
