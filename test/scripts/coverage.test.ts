import { expect, test } from 'vitest'
import { coveredFiles, uncovered } from '../../scripts/coverage.ts'

const report = `
╔══════════════════════════════════════════════════════╗
║                   Coverage Report                    ║
╚══════════════════════════════════════════════════════╝
╔══════════════════════════════════════════════════════╗
║ File Coverage                                        ║
╟─────────────────────┬────────┬─────────────┬─────────╢
║ File Path           │ Line % │ Statement % │ Uncovered Lines ║
╟─────────────────────┼────────┼─────────────┼─────────╢
║ contracts/A.sol     │ 100.00 │ 100.00      │ -       ║
║ contracts/b/B.sol   │ 99.99  │ 100.00      │ 12-14   ║
║ contracts/b/C.sol   │ \u001B[31m100.00\u001B[39m │ 97.50       │ -       ║
║ contracts/types.sol │ 0.00   │ 0.00        │ -       ║
╟─────────────────────┼────────┼─────────────┼─────────╢
║ Total               │ 99.99  │ 99.00       │         ║
╚═════════════════════╧════════╧═════════════╧═════════╝
`

test("reads the rows of hardhat's report", () => {
  expect(coveredFiles(report)).toEqual([
    { file: 'contracts/A.sol', lines: 100, statements: 100 },
    { file: 'contracts/b/B.sol', lines: 99.99, statements: 100 },
    { file: 'contracts/b/C.sol', lines: 100, statements: 97.5 },
    { file: 'contracts/types.sol', lines: 0, statements: 0 },
  ])
})

test('names every file that is not covered whole', () => {
  expect(uncovered(coveredFiles(report)).map(({ file }) => file)).toEqual([
    'contracts/b/B.sol',
    'contracts/b/C.sol',
    'contracts/types.sol',
  ])
  expect(coveredFiles('no report')).toEqual([])
})
