// The indexer's own: the same chain, contracts and database.
export { default } from '../../../indexer/ponder.config.ts'
