"""The stand-in for Bedrock speaks to boto3 as Bedrock does: what is tested against it holds there too."""

import json

import boto3

from stage import Stage, expect

MODEL = "us.amazon.nova-lite-v1:0"
SCHEMA = {"type": "object", "properties": {"order_type": {"type": "string"}}, "required": ["order_type"]}
TOOL = {"toolSpec": {"name": "CheckDeliveryTime", "inputSchema": {"json": SCHEMA}}}
TOOLS = {"toolConfig": {"tools": [TOOL]}}
QUESTION = {"role": "user", "content": [{"text": "What is the delivery time?"}]}


def client(stage: Stage):  # noqa: ANN201 - boto3 makes its classes at run time
    return boto3.client("bedrock-runtime", endpoint_url=stage.bedrock_url)


def check_converse(stage: Stage) -> None:
    """boto3 Converse: text, stop reason, usage; the stand-in says that it is one"""
    reply = client(stage).converse(
        modelId=MODEL,
        system=[{"text": "Be brief."}],
        messages=[{"role": "user", "content": [{"text": "Hello"}]}],
        inferenceConfig={"maxTokens": 100, "temperature": 0.3},
    )
    expect("role", "assistant", reply["output"]["message"]["role"])
    expect("stop reason", "end_turn", reply["stopReason"])
    assert reply["output"]["message"]["content"][0]["text"], f"expected text, got {reply}"
    usage = reply["usage"]
    expect("total of tokens", usage["inputTokens"] + usage["outputTokens"], usage["totalTokens"])
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    expect("header", "bedrock", headers.get("x-trunkline-stand-in"))


def check_converse_with_tool(stage: Stage) -> None:
    """boto3 Converse with a tool: the call, and an answer from its result"""
    called = client(stage).converse(modelId=MODEL, messages=[QUESTION], **TOOLS)
    expect("stop reason", "tool_use", called["stopReason"])
    message = called["output"]["message"]
    [use] = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    expect("tool", "CheckDeliveryTime", use["name"])
    assert "order_type" in use["input"], f"expected the required input, got {use}"
    answered = client(stage).converse(modelId=MODEL, messages=[QUESTION, message, result(use)], **TOOLS)
    expect("stop reason", "end_turn", answered["stopReason"])
    assert "37 minutes" in answered["output"]["message"]["content"][0]["text"], f"got {answered}"


def check_stream(stage: Stage) -> None:
    """boto3 ConverseStream: events in Bedrock's order, text in several deltas, usage last"""
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    events = list(client(stage).converse_stream(modelId=MODEL, messages=messages)["stream"])
    kinds = [next(iter(event)) for event in events]
    deltas = kinds.count("contentBlockDelta")
    order = ["messageStart", *["contentBlockDelta"] * deltas, "contentBlockStop", "messageStop", "metadata"]
    expect("events", order, kinds)
    assert deltas > 3, f"expected several deltas, got {deltas}"
    expect("stop reason", "end_turn", events[-2]["messageStop"]["stopReason"])
    assert events[-1]["metadata"]["usage"]["outputTokens"] > 0, f"expected usage, got {events[-1]}"


def check_stream_with_tool(stage: Stage) -> None:
    """boto3 ConverseStream with a tool: its input arrives as JSON in pieces, and its result is used"""
    message, stop_reason = collect(client(stage).converse_stream(modelId=MODEL, messages=[QUESTION], **TOOLS))
    expect("stop reason", "tool_use", stop_reason)
    [use] = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    assert "order_type" in use["input"], f"expected the required input, got {use}"
    messages = [QUESTION, message, result(use)]
    answer, stop_reason = collect(client(stage).converse_stream(modelId=MODEL, messages=messages, **TOOLS))
    expect("stop reason", "end_turn", stop_reason)
    assert "37 minutes" in answer["content"][0]["text"], f"expected the tool's result, got {answer}"


def check_refusals(stage: Stage) -> None:
    """boto3 raises ValidationException for conversations that Bedrock refuses, in both operations"""
    agent_first = [{"role": "assistant", "content": [{"text": "Hello"}]}]
    blank = [{"role": "user", "content": [{"text": " "}]}]
    unanswered = [QUESTION, {"role": "assistant", "content": [{"toolUse": tool_use()}]}, QUESTION]
    bedrock = client(stage)
    for what, messages in {"agent first": agent_first, "blank": blank, "no result": unanswered}.items():
        for operation in (bedrock.converse, bedrock.converse_stream):
            try:
                operation(modelId=MODEL, messages=messages, **TOOLS)
            except bedrock.exceptions.ValidationException as refused:
                assert refused.response["Error"]["Message"], f"{what}: expected a reason"
            else:
                raise AssertionError(f"{what}: expected ValidationException, got an answer")


def tool_use() -> dict:
    return {"toolUseId": "tooluse_1", "name": "CheckDeliveryTime", "input": {"order_type": "pickup"}}


def result(use: dict) -> dict:
    content = [{"json": {"message": "It takes 37 minutes."}}]
    return {"role": "user", "content": [{"toolResult": {"toolUseId": use["toolUseId"], "content": content}}]}


def collect(response: dict) -> tuple[dict, str]:
    """The whole message of a stream, put together as a client of Bedrock does, and why it stopped."""
    blocks: dict[int, dict] = {}
    stop_reason = ""
    for event in response["stream"]:
        if start := event.get("contentBlockStart"):
            blocks[start["contentBlockIndex"]] = {"toolUse": start["start"]["toolUse"] | {"input": ""}}
        elif delta := event.get("contentBlockDelta"):
            block = blocks.setdefault(delta["contentBlockIndex"], {"text": ""})
            if "text" in delta["delta"]:
                block["text"] += delta["delta"]["text"]
            else:
                block["toolUse"]["input"] += delta["delta"]["toolUse"]["input"]
        elif stop := event.get("messageStop"):
            stop_reason = stop["stopReason"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {"role": "assistant", "content": [blocks[index] for index in sorted(blocks)]}, stop_reason
