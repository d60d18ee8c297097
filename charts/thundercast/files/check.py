"""`helm test`: waits until the current run has newer scores than at first, and asks for predictions. Publishes nothing."""

import json
import sys
import time
import urllib.error
import urllib.request

trainer, seconds, *pages = sys.argv[1:]
until = time.monotonic() + float(seconds)
problem = "nothing was asked"


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


def attempt(what):
    """The answer, or None with the reason in `problem`."""
    global problem
    try:
        return what()
    except urllib.error.HTTPError as error:
        problem = f"{error.url}: {error.code} {error.read(500).decode(errors='replace')}"
    except (OSError, ValueError) as error:
        problem = str(error)
    return None


def newest():
    found = json.loads(ask(f"{trainer}/v1/scores"))
    return found["run_id"], max((score["date"] for score in found["scores"]), default="")


first = None
while time.monotonic() < until:
    seen = attempt(newest)
    status = attempt(lambda: json.loads(ask(f"{trainer}/v1/status")))
    if seen is not None and seen[1] and status is not None:
        first = first or seen
        # A newer row of the run, or the run is over and there will be none.
        if seen > first or status["completed"]:
            break
        problem = f"run {seen[0]} has had no newer score than that of {seen[1]}"
    time.sleep(1.0)
else:
    sys.exit(f"no new score within {seconds} s: {problem}")
print(f"run {seen[0]}: scores up to {seen[1]}")

model = json.loads(ask(f"{trainer}/v1/model"))
print(f"models: {json.dumps(model['models'])[:300]}")
# A station that nobody knows is answered, too, by row: no data is needed to see that predictions are served.
answer = json.loads(ask(f"{trainer}/v1/predict", {"rows": [{"station": "99999999999"}]}))
assert answer["run_id"] and len(answer["rows"]) == 1, answer
print("predictions are served")
for page in pages:
    assert ask(page).strip() == b"ok", page
    print(f"{page} answers")
