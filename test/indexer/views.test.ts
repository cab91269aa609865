import { beforeAll, describe, expect, test } from 'vitest'
import { recordSupplies } from '../../indexer/analytics/supplies.ts'
import { event, MONDAY, ROOT, ZERO } from './rows.ts'
import { useScratch } from './scratch.ts'

// The views about the ledger and the future, on rows few enough to work every figure out by hand.

const { ask, insert, write } = useScratch()

describe('a small multiverse', () => {
  // Question a (two answers) is asked at the root; b is asked in a=0. Alice has 100 in both of a's verses and pushes 40 of
  // those in a=0 down into b; she gives bob 10 in a=0 & b=1. Then b is answered 1, and a 0.
  const token = '0xtt'
  const verses = { a0: '0xaa00000000000000', a1: '0xaa11', b0: '0xbb00', b1: '0xbb11' }
  const [alice, bob, keeper] = ['0xa11ce', '0xb0b', '0xcafe']

  beforeAll(async () => {
    const question = (block: number, id: string, deadline: number) => ({
      ...event(block),
      question: id,
      oracle: '0x0c',
      outcomes: 2,
      deadline,
      spec_hash: '0x5c',
      terms_hash: '0x7e',
      survivors: [0, 1],
    })
    await insert('questions', [question(1, 'a', MONDAY + 3_600), question(2, 'b', MONDAY + 7_200)])
    const verse = (id: string, block: number, parent: string, asked: string, outcome: number) => ({
      ...event(block),
      verse: id,
      parent,
      question: asked,
      outcome,
      depth: parent === ROOT ? 1 : 2,
      path: '[]',
    })
    await insert('verses', [
      verse(verses.a0, 3, ROOT, 'a', 0),
      verse(verses.a1, 3, ROOT, 'a', 1),
      verse(verses.b0, 4, verses.a0, 'b', 0),
      verse(verses.b1, 4, verses.a0, 'b', 1),
    ])
    const step = (id: string, n: number, asked: string, outcome: number) => ({
      block_number: 3,
      verse: id,
      step: n,
      question: asked,
      outcome,
    })
    await insert('verse_answers', [
      step(verses.a0, 1, 'a', 0),
      step(verses.a1, 1, 'a', 1),
      step(verses.b0, 1, 'a', 0),
      step(verses.b0, 2, 'b', 0),
      step(verses.b1, 1, 'a', 0),
      step(verses.b1, 2, 'b', 1),
    ])
    await insert(
      'positions',
      Object.entries(verses).map(([name, id]) => ({
        ...event(3),
        position: name,
        verse: id,
        token,
      })),
    )
    await insert('tokens', [{ token, name: 'Dollar', symbol: 'USD', decimals: 2 }])
    await insert('specs', [{ question: 'a', block_number: 1, title: 'A?', json: '{}' }])
    const outcome = (n: number, label: string) => ({
      question: 'a',
      block_number: 1,
      outcome: n,
      label,
      prior: 0,
    })
    await insert('outcomes', [outcome(0, 'no'), outcome(1, 'yes')])
    const label = (verse: string, said: string) => ({ verse, block_number: 4, label: said })
    await insert('verse_labels', [
      label(verses.a0, 'no'),
      label(verses.a1, 'yes'),
      label(verses.b0, 'no & b=0'),
      label(verses.b1, 'no & b=1'),
    ])
    const redeemer = (log: number, owner: string, allowed: boolean) => ({
      ...event(5, log),
      owner,
      redeemer: keeper,
      allowed,
    })
    await insert('redeemer_changes', [
      redeemer(1, alice, true),
      redeemer(2, bob, true),
      redeemer(3, bob, false),
    ])
    const push = (block: number, parent: string, asked: string, amount: number) => ({
      ...event(block),
      parent,
      question: asked,
      owner: alice,
      token,
      receiver: alice,
      amount,
      survivors: [0, 1],
      path: '[]',
    })
    await insert('push_downs', [push(3, ROOT, 'a', 100), push(4, verses.a0, 'b', 40)])
    const transfer = (
      block: number,
      log: number,
      position: string,
      sender: string,
      receiver: string,
      amount: number,
    ) => ({ ...event(block, log), operator: alice, sender, receiver, position, amount })
    await insert('transfers', [
      transfer(3, 1, 'a0', ZERO, alice, 100),
      transfer(3, 2, 'a1', ZERO, alice, 100),
      transfer(4, 1, 'a0', alice, ZERO, 40),
      transfer(4, 2, 'b0', ZERO, alice, 40),
      transfer(4, 3, 'b1', ZERO, alice, 40),
      transfer(5, 0, 'b1', alice, bob, 10),
    ])
    await write((tx) => recordSupplies(tx, 3n, 5n))
    await insert('supplies', [
      { position: 'a0', amount: 60 },
      { position: 'a1', amount: 100 },
      { position: 'b0', amount: 40 },
      { position: 'b1', amount: 40 },
    ])
    await insert('balances', [
      { owner: alice, position: 'a0', amount: 60 },
      { owner: alice, position: 'a1', amount: 100 },
      { owner: alice, position: 'b0', amount: 40 },
      { owner: alice, position: 'b1', amount: 30 },
      { owner: bob, position: 'b1', amount: 10 },
    ])
    const world = (id: string, outcome: number, probability: string) => ({
      ...event(6),
      keeper,
      parent: ROOT,
      question: 'a',
      outcome,
      verse: id,
      state_root: `0x${'0'.repeat(15)}${outcome}`,
      cost: 1,
      probability,
      trit: 0,
      verdict: 1,
    })
    await insert('report_worlds', [
      world(verses.a0, 0, '600000000000000000'),
      world(verses.a1, 1, '400000000000000000'),
    ])
    const update = (outcome: number, probability: string) => ({
      ...event(7),
      keeper,
      parent: ROOT,
      question: 'a',
      outcome,
      probability,
    })
    await insert('probability_updates', [
      update(0, '750000000000000000'),
      update(1, '250000000000000000'),
    ])
  })

  test('every event in one list', async () => {
    expect(
      await ask(
        'SELECT kind, count(*)::INT, sum(amount)::VARCHAR FROM events GROUP BY kind ORDER BY kind',
      ),
    ).toEqual([
      // One of two outcomes, told in one event.
      ['ProbabilitiesUpdated', 1, null],
      ['PushDown', 2, '140'],
      ['QuestionAsked', 2, null],
      ['RedeemerSet', 3, null],
      ['Transfer', 6, '330'],
    ])
    expect(
      await ask(
        "SELECT block_number::INT, log_index::INT, account, position FROM events WHERE account = '0xa11ce' AND position = 'b1'",
      ),
    ).toEqual([[5, 0, alice, 'b1']])
  })

  test('questions, and what a deadline decides', async () => {
    const sql = 'SELECT question, title, state, live, winner FROM v_questions ORDER BY question'
    const open = [
      ['a', 'A?', 'open', [0, 1], null],
      ['b', null, 'open', [0, 1], null],
    ]
    expect(await ask(sql)).toEqual(open)
    const headAt = (time: string) =>
      write((tx) => tx.run(`UPDATE mirror SET head_timestamp = ${time}`))
    // Between the two deadlines: the last outcome has won what nobody answered.
    await headAt(`make_timestamp(${MONDAY + 3_600}::BIGINT * 1000000)`)
    expect(await ask(sql)).toEqual([['a', 'A?', 'expired', [1], null], open[1]])
    await headAt('NULL')
  })

  test('what verses are called, hold and are given', async () => {
    expect(
      await ask(
        `SELECT step::INT, question, outcome, label, possible, decided FROM v_verse_answers WHERE verse = '${verses.b1}' ORDER BY step`,
      ),
    ).toEqual([
      [1, 'a', 0, 'no', true, false],
      [2, 'b', 1, 'b=1', true, false],
    ])
    expect(await ask('SELECT label, state FROM v_states ORDER BY label')).toEqual([
      ['no', 'alive'],
      ['no & b=0', 'alive'],
      ['no & b=1', 'alive'],
      ['root', 'alive'],
      ['yes', 'alive'],
    ])
    expect(await ask('SELECT verse, probability FROM v_probabilities ORDER BY verse')).toEqual([
      [verses.a0, '750000000000000000'],
      [verses.a1, '250000000000000000'],
    ])
    expect(
      await ask(
        `SELECT position, token, symbol, amount, display FROM v_supplies WHERE verse = '${verses.a0}'`,
      ),
    ).toEqual([['a0', token, 'USD', '60', 0.6]])
    expect(
      await ask(
        `SELECT label, depth::INT, parent, state, probability, supplies FROM v_verses WHERE verse IN ('${verses.b1}', '${verses.a1}') ORDER BY depth`,
      ),
    ).toEqual([
      ['yes', 1, ROOT, 'alive', '250000000000000000', [{ token, symbol: 'USD', amount: '100' }]],
      ['no & b=1', 2, verses.a0, 'alive', null, [{ token, symbol: 'USD', amount: '40' }]],
    ])
    expect(await ask('SELECT supplies FROM v_verses WHERE depth = 0')).toEqual([[null]])
  })

  test('who owns what, and who may redeem it for them', async () => {
    expect(
      await ask(
        `SELECT token, symbol, verse, label, state, position, amount, display FROM v_balances WHERE owner = '${bob}'`,
      ),
    ).toEqual([[token, 'USD', verses.b1, 'no & b=1', 'alive', 'b1', '10', 0.1]])
    // Bob thought better of it.
    expect(await ask('SELECT owner, redeemer FROM redeemers')).toEqual([[alice, keeper]])
    expect(
      await ask(
        "SELECT name, label, depth::INT, is_alive, redeemable, supply FROM v_positions WHERE position = 'b1'",
      ),
    ).toEqual([['USD if no & b=1', 'no & b=1', 2, true, false, '40']])
    expect(await ask('FROM redeemable')).toEqual([])
  })

  test('probabilities over time', async () => {
    const sql = `SELECT block_number::INT, probability::VARCHAR FROM probability_history WHERE verse = '${verses.a0}'`
    expect(await ask(sql)).toEqual([
      [6, '600000000000000000'],
      [7, '750000000000000000'],
    ])
  })

  test('the supply of a verse over time', async () => {
    const of = (id: string) =>
      ask(`SELECT block_number::INT, supply::VARCHAR FROM supply_history WHERE verse = '${id}'`)
    expect(await of(verses.a0)).toEqual([
      [3, '100'],
      [4, '60'],
    ])
    // A transfer moves it, and leaves as much as there was.
    expect(await of(verses.b1)).toEqual([[4, '40']])
  })

  test('who holds which future', async () => {
    const of = (owner: string) =>
      ask(`SELECT future['a'] AS a, future['b'] AS b, amount::VARCHAR, combinations::INT
           FROM exposure('${owner}', '${token}') ORDER BY a, b`)
    // With a = 1, b does not matter: 100 either way. With a = 0: 60 and what she has in b's answer.
    expect(await of(alice)).toEqual([
      [0, 0, '100', 4],
      [0, 1, '90', 4],
      [1, 0, '100', 4],
      [1, 1, '100', 4],
    ])
    expect(await of(bob)).toEqual([
      [0, 0, '0', 4],
      [0, 1, '10', 4],
      [1, 0, '0', 4],
      [1, 1, '0', 4],
    ])
  })

  test('after the answers', async () => {
    const answer = (block: number, question: string, outcome: number) => ({
      ...event(block),
      question,
      outcome,
      expired: false,
    })
    await insert('answers', [answer(8, 'b', 1), answer(9, 'a', 0)])
    await write(async (tx) => {
      await tx.run(
        "UPDATE questions SET status = 'resolved', survivors = [1], winner = 1 WHERE question = 'b'",
      )
      await tx.run(
        "UPDATE questions SET status = 'resolved', survivors = [0], winner = 0 WHERE question = 'a'",
      )
    })

    expect(
      await ask(
        `SELECT future['a'], future['b'], amount::VARCHAR FROM exposure('${alice}', '${token}')`,
      ),
    ).toEqual([[0, 1, '90']])

    expect(
      await ask('SELECT question, seconds_to_answer, seconds_to_spare::INT FROM oracle_timeliness'),
    ).toEqual([
      ['a', '480', 3_060],
      ['b', '360', 6_720],
    ])

    expect(await ask('SELECT verse, is_alive, redeemable FROM v_positions ORDER BY verse')).toEqual(
      [
        [verses.a0, true, true],
        [verses.a1, false, false],
        [verses.b0, false, false],
        [verses.b1, true, true],
      ],
    )
    expect(
      await ask(
        'SELECT owner, verse, amount::VARCHAR, redeemers FROM redeemable ORDER BY owner, verse',
      ),
    ).toEqual([
      [alice, verses.a0, '60', [keeper]],
      [alice, verses.b1, '30', [keeper]],
      [bob, verses.b1, '10', null],
    ])
    expect(
      await ask('SELECT question, state, live, winner FROM v_questions ORDER BY question'),
    ).toEqual([
      ['a', 'resolved', [0], 0],
      ['b', 'resolved', [1], 1],
    ])
    expect(
      await ask("SELECT verse, state FROM v_states WHERE label <> 'root' ORDER BY verse"),
    ).toEqual([
      [verses.a0, 'happened'],
      [verses.a1, 'collapsed'],
      [verses.b0, 'collapsed'],
      [verses.b1, 'happened'],
    ])

    const lived = await ask('SELECT verse, source, target, composes FROM verse_lifecycle')
    expect(lived).toEqual([
      [verses.a0, 'unopened', 'open', true],
      [verses.a0, 'open', 'reported', true],
      [verses.a0, 'reported', 'happened', true],
      [verses.a1, 'unopened', 'open', true],
      [verses.a1, 'open', 'reported', true],
      [verses.a1, 'reported', 'collapsed', true],
      [verses.b0, 'unopened', 'open', true],
      [verses.b0, 'open', 'collapsed', true],
      [verses.b1, 'unopened', 'open', true],
      [verses.b1, 'open', 'happened', true],
    ])
  })

  test('extractable value in its four forms', async () => {
    await insert('wev_exact', [
      {
        question: 'a',
        token,
        block_number: 9,
        winner: 0,
        wev_nominal: 100,
        wev_realized: 30,
        total: 100,
      },
      {
        question: 'b',
        token,
        block_number: 8,
        winner: 1,
        wev_nominal: 40,
        wev_realized: 5,
        total: 100,
      },
    ])
    await insert('journal', [
      {
        keeper_id: 'w',
        epoch: 0,
        seq: 1,
        written_at: '2026-01-05',
        kind: 'wev.measured',
        event: JSON.stringify({
          question: 'a',
          wevRatio: '333000000000000000',
          wevAbs: '250000000000000000',
        }),
      },
    ])
    expect(
      await ask(
        'SELECT question, ratio, absolute, nominal::VARCHAR, realized::VARCHAR, nominal_so_far::VARCHAR FROM wev_history',
      ),
    ).toEqual([
      ['b', null, null, '40', '5', '40'],
      ['a', 0.333, 0.25, '100', '30', '140'],
    ])
    expect(
      await ask(`SELECT question, title, symbol, winner, winner_label, wev_nominal, wev_realized, total, nominal_display, realized_display
                 FROM v_wev ORDER BY question`),
    ).toEqual([
      ['a', 'A?', 'USD', 0, 'no', '100', '30', '100', 1, 0.3],
      ['b', null, 'USD', 1, null, '40', '5', '100', 0.4, 0.05],
    ])
  })
})
