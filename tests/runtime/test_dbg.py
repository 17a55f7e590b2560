from tests.runtime.agents import *
async def test_x(lan: Lan) -> None:
    lb1, lb2 = await run_cluster(lan)
    await trio.sleep(1)
    print(lb2.shown())
    start=lan.now
    await lb1.stop()
    for e in lan.story:
        if e.at>=start: print(e)
