import type { Mutant } from './mutants.ts'

/** A bug that no operator makes, by its name: `from`, which stands in the source once, becomes `to`. */
export type Handwritten = { file: string; name: string; context: string; from: string; to: string }

const ledger = 'contracts/Multiverse.sol'
const positions = 'contracts/types/PositionId.sol'

export const handwritten: Handwritten[] = [
  {
    file: ledger,
    name: 'cached self-transfer',
    context: '_transfer',
    from: `        _lower(sender, id, amount);
        _raise(_entries[receiver], id, amount);`,
    to: `        int256 held = _entries[receiver][id];
        _lower(sender, id, amount);
        _entries[receiver][id] = held + int256(amount);`,
  },
  {
    file: ledger,
    name: 'asymmetric narrowing, pushing',
    context: 'pushDown',
    from: 'uint256 survivors = _live(question, q);',
    to: 'uint256 survivors = _all(question.outcomeCount());',
  },
  {
    file: ledger,
    name: 'asymmetric narrowing, pulling',
    context: '_pullUp',
    from: 'uint256 survivors = _live(question, _known(question));',
    to: 'uint256 survivors = _all(question.outcomeCount());',
  },
  {
    file: ledger,
    name: 'phantom id has a balance',
    context: 'balanceOf',
    from: 'return position.isPhantom() ? 0 : _balance(owner, position);',
    to: 'return _balance(owner, position);',
  },
  {
    file: positions,
    name: 'phantom id is none',
    context: 'isPhantom',
    from: '(raw & 0xff) >= ((raw >> 8) & 0xff)',
    to: '(raw & 0xff) == SET',
  },
  {
    file: positions,
    name: 'sibling groups of different sizes are one',
    context: 'set',
    from: 'PositionId.unwrap(id) | SET',
    to: '(PositionId.unwrap(id) & ~uint256(0xffff)) | SET',
  },
  {
    file: ledger,
    name: 'anybody may redeem for anybody',
    context: 'pullUpFor',
    from: 'if (!_redeemers[owner][msg.sender]) revert NotRedeemer(owner, msg.sender);',
    to: '',
  },
  {
    file: ledger,
    name: 'redeemer is paid',
    context: 'pullUpFor',
    from: '_pullUp(owner, path, question, token, amount, owner);',
    to: '_pullUp(owner, path, question, token, amount, msg.sender);',
  },
  {
    file: ledger,
    name: 'receiver may be zero',
    context: 'pushDown',
    from: `        _requireAmount(amount);
        if (to == address(0)) revert ReceiverIsZero();`,
    to: '        _requireAmount(amount);',
  },
]

/**
 * The hand-written mutants of a file.
 * @throws Error when one no longer fits its source: it must follow the code it is about.
 */
export function handwrittenOf(
  file: string,
  text: string,
  all: readonly Handwritten[] = handwritten,
): Mutant[] {
  return all
    .filter((each) => each.file === file)
    .map(({ name, context, from, to }) => {
      const start = text.indexOf(from)
      if (start < 0 || text.includes(from, start + 1))
        throw new Error(`the mutant "${name}" does not fit ${file}: its text is not there once`)
      return {
        file,
        context,
        operator: name,
        range: { start, end: start + from.length },
        text: to,
        place: { kind: 'file' },
      }
    })
}
