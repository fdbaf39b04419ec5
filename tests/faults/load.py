"""A router under load, made to be killed: `python load.py <journal> <api base>`.

Prints a line of JSON each time a part of the journal is known to be durable: the last position that
is, and the requests that had been answered before.
"""

import asyncio
import json
import sys

from turnout import CompletionRequest, RequestError, Router

WORKERS = 24


def model_list(api_base):
    return [
        {
            "model_name": group,
            "litellm_params": {"model": f"openai/{model}", "api_key": "k", "api_base": api_base},
            "model_info": {
                "id": f"{group}/{model}",
                "input_cost_per_token": 0.001,
                "output_cost_per_token": 0.002,
            },
        }
        for group, model in [("gpt-4", "flaky"), ("gpt-4", "steady"), ("gpt-4", "slow"), ("spare", "steady")]
    ]


def make_router(path, api_base):
    return Router(
        model_list=model_list(api_base),
        journal=f"sqlite:///{path}",
        num_retries=2,
        fallbacks=[{"gpt-4": ["spare"]}],
        cooldown_time=0.02,
        seed=1,
    )


def request(number):
    return CompletionRequest(
        model="gpt-4", messages=[{"role": "user", "content": "x"}], stream=number % 2 == 0
    )


async def work(router, number, answered):
    while True:
        future = router.ask(request(number), block=False)
        try:
            answer = await future
            if number % 2 == 0:
                async for _chunk in answer:
                    pass
        except RequestError:
            continue
        answered.append((future.request_id, answer.route.cost))


async def report(router, answered):
    journal = router._journal
    while True:
        position, known, answered[:] = journal.position, tuple(answered), []
        await journal.confirm()
        sys.stdout.write(json.dumps([position, known]) + "\n")
        sys.stdout.flush()


async def main(path, api_base):
    answered = []
    async with make_router(path, api_base) as router, asyncio.TaskGroup() as group:
        for number in range(WORKERS):
            group.create_task(work(router, number, answered))
        group.create_task(report(router, answered))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
