"""A process that hears no signal: its main thread sits in a call that none interrupts, as in a long product."""

# The caller says what to do before. Then a second thread says "at work", and it has the interpreter only from within that call:
# threads do not take turns here, and until the call nothing gives the interpreter away. Said any earlier, a signal could
# come before the call on a busy machine, and be heard. Hashing so often takes many minutes anywhere.
DEAF = """
import hashlib, sys, threading
sys.setswitchinterval(10_000)
near = threading.Lock()
near.acquire()
def say():
    with near:
        print("at work", flush=True)
threading.Thread(target=say, daemon=True).start()
near.release()
hashlib.pbkdf2_hmac("sha512", b"x", b"y", 2_000_000_000)
"""
