import socket
import threading

from runners.ray_watch import RayWatch


def address(server):
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_port_that_closes_is_noticed_once():
    """As long as something listens all is well; from then on the callback comes, and the thread ends."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        watch = RayWatch([address(head)], gone.set, interval_s=0.01)
        watch.start()
        for _ in range(3):
            head.accept()[0].close()
        assert not gone.is_set()
    assert gone.wait(10)
    watch.join(10)
    assert not watch.is_alive()


def test_one_of_several_ports_is_enough():
    """Without its node's service Ray is as gone as without its head's."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        node = socket.create_server(("127.0.0.1", 0))
        watch = RayWatch([address(head), address(node)], gone.set, interval_s=0.01)
        node.close()
        watch.start()
        assert gone.wait(10)


def test_a_watch_that_is_stopped_says_nothing():
    """Ray's end after the driver's is nobody's business."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        watch = RayWatch([address(head)], gone.set, interval_s=60.0)
        watch.start()
        watch.stop()
    assert not gone.is_set()
