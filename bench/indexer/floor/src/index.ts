import { ponder } from 'ponder:registry'

// What ponder costs when nobody does anything with its events: the floor of every indexer built on it.

ponder.on('Multiverse:QuestionAsked', async () => {})
ponder.on('Multiverse:PushDown', async () => {})
ponder.on('Multiverse:Transfer', async () => {})
