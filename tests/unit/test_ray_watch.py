import socket
import threading

from runners.ray_watch import RayWatch


def test_a_port_that_closes_is_noticed_once():
    """As long as something listens all is well; from then on the callback comes, and the thread ends."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        watch = RayWatch(f"127.0.0.1:{head.getsockname()[1]}", gone.set, interval_s=0.01)
        watch.start()
        for _ in range(3):
            head.accept()[0].close()
        assert not gone.is_set()
    assert gone.wait(10)
    watch.join(10)
    assert not watch.is_alive()


def test_a_watch_that_is_stopped_says_nothing():
    """Ray's end after the driver's is nobody's business."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as head:
        watch = RayWatch(f"127.0.0.1:{head.getsockname()[1]}", gone.set, interval_s=60.0)
        watch.start()
        watch.stop()
    assert not gone.is_set()
