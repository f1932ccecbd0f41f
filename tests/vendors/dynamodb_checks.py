"""What operators do with the table, done with the AWS CLI: load items, read orders, look at the table."""

import json
import time

from relay_call import RelayCall
from stage import REPOSITORY, Stage, expect, poll

# A caller of configuration/profiles.toml, under whose number orders are kept.
ADA = "+14155550100"
CALLED = "+18005550199"
WRITING_LIMIT_S = 5
DAY_S = 24 * 60 * 60


def check_table(stage: Stage) -> None:
    """aws dynamodb describe-table and describe-time-to-live show keys, index and time to live"""
    table = stage.aws("describe-table")["Table"]
    expect("keys", ["pk", "sk"], [key["AttributeName"] for key in table["KeySchema"]])
    [index] = table["GlobalSecondaryIndexes"]
    expect("index", "index-1-full", index["IndexName"])
    expect("its keys", ["pk1", "sk1"], [key["AttributeName"] for key in index["KeySchema"]])
    expect("its attributes", "ALL", index["Projection"]["ProjectionType"])
    expiry = stage.aws("describe-time-to-live")["TimeToLiveDescription"]
    expect("time to live", ("ENABLED", "expireAt"), (expiry["TimeToLiveStatus"], expiry["AttributeName"]))


def check_item(stage: Stage) -> None:
    """aws dynamodb put-item takes what `trunkline use-case item` prints; its name answers calls at once"""
    item = json.loads(stage.trunkline("use-case", "item", "configuration/use-cases/albert-einstein"))
    name = "albert-einstein-again"
    item |= {"pk": {"S": name}, "sk1": {"S": name}}
    stage.aws("put-item", "--item", json.dumps(item))
    with RelayCall(stage, f"/twiml/{name}") as call:
        greeting = item["conversationRelayParams"]["M"]["welcomeGreeting"]["S"]
        expect("greeting", greeting, call.relay["welcomeGreeting"])
        expect("use case", name, call.parameters["useCase"])
        assert call.ask("Hello").strip(), "expected an answer, got silence"


def check_originals(stage: Stage) -> None:
    """Items of the system before this one, put by the AWS CLI unedited, answer calls"""
    files = sorted((REPOSITORY / "tests/fixtures/original").glob("*.json"))
    assert files, "there are no such items in tests/fixtures/original"
    items = [json.loads(file.read_text()) for file in files]
    for file in files:
        stage.aws("put-item", "--item", f"file://{file}")
    for item in items:
        if item["sk"]["S"] == "configuration":
            expect_answer(stage, item, f"/twiml/{item['pk']['S']}")
    for profile in (item for item in items if item["sk"]["S"] == "profile"):
        chosen = next(item for item in items if item["pk"] == profile["useCase"])
        expect_answer(stage, chosen, "/twiml", From=profile["pk"]["S"])


def expect_answer(stage: Stage, use_case: dict, path: str, **params: str) -> None:
    """The use case greets with its own words, answers the caller, and knows its keypad."""
    greeting = use_case["conversationRelayParams"]["M"]["welcomeGreeting"]["S"]
    with RelayCall(stage, path, **params) as call:
        expect(f"greeting at {path}", greeting, call.relay["welcomeGreeting"])
        assert call.ask("Hello").strip(), f"{path}: expected an answer, got silence"
        expect(f"key 4 at {path}", "You chose 4.", call.press("4").strip())


def check_order(stage: Stage) -> None:
    """aws dynamodb query reads back the order that a call placed, by caller and by called number"""
    with RelayCall(stage, "/twiml/restaurant-ordering", From=ADA, To=CALLED) as call:
        call.ask("Two pepperoni pizzas with extra cheese for pickup, please")
        # The words before a tool call are a talk cycle of their own, and two tools are called in a row.
        answers = [call.ask("Yes, that is right")]
        while "ready in" not in answers[-1]:
            answers.append("".join(call.tokens()))
    by_caller = ["--key-condition-expression", "pk = :pk AND begins_with(sk, :sk)"]
    by_caller += values(pk=ADA, sk="restaurantOrder::")
    assert poll(lambda: stage.aws("query", *by_caller)["Items"], WRITING_LIMIT_S), "no order was written"
    [order] = stage.aws("query", *by_caller)["Items"]
    expect("call", call.call_sid, order["callSid"]["S"])
    expect("kind", "pickup", order["order"]["M"]["order_type"]["S"])
    expect("total", "31", order["order"]["M"]["order_total"]["N"])
    [line] = order["order"]["M"]["order_items"]["L"]
    expect("line", "2 medium Pepperoni pizzas", line["M"]["line_item"]["S"])
    kept_s = int(order["expireAt"]["N"]) - time.time()
    assert abs(kept_s - 7 * DAY_S) < 60, f"expected the order to be kept for 7 days, got {kept_s} s"
    by_number = ["--index-name", "index-1-full", "--key-condition-expression", "pk1 = :pk1 AND sk1 = :sk1"]
    found = stage.aws("query", *by_number, *values(pk1="restaurantOrder", sk1=CALLED))["Items"]
    expect("orders at the called number", [order], found)


def values(**keys: str) -> list[str]:
    """The values of a key condition, as the CLI takes them."""
    typed = {f":{name}": {"S": value} for name, value in keys.items()}
    return ["--expression-attribute-values", json.dumps(typed)]
