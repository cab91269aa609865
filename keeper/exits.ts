/**
 * What a keeper that cannot go on exits with, by the error's code; 1 for all others, which another start may mend, as it may a
 * port in use. All others ask for a person: see sdk/node/exits.ts. Each is told in docs/operations.md.
 */
export const KEEPER_EXIT_BY_CODE: Record<string, number> = {
  CONFIG_INVALID: 2,
  NO_WALLET: 2,
  UNKNOWN_WALLET: 2,
  AMBIGUOUS_WALLET: 2,
  INVALID_SETTING: 2,
  KEYSTORE_NOT_FOUND: 2,
  KEYSTORE_INVALID: 2,
  KEYSTORE_UNSUPPORTED: 2,
  NO_PASSPHRASE: 2,
  PASSPHRASE_UNREADABLE: 2,
  WRONG_PASSPHRASE: 2,
  SIGNER_NO_ACCOUNT: 2,
  SIGNER_AMBIGUOUS: 2,
  NO_DEPLOYMENT: 2,
  DEPLOYMENT_INVALID: 2,
  DATA_INVALID: 3,
  DATABASE_UNREADABLE: 3,
  PORT_IN_USE: 4,
  UNKNOWN_CHAIN: 10,
  OTHER_CHAIN: 11,
  NO_CONTRACT: 12,
  OTHER_CODE: 12,
  NO_FUNDS: 13,
  OTHER_DEPLOYMENT: 14,
  SCHEMA_TOO_NEW: 15,
  DATA_TOO_NEW: 15,
}
