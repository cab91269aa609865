// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice What, together with an oracle's address and the hash of its terms, makes a question id. An oracle is shown it
/// at every call that needs the terms, so that it can derive the id itself.
struct QuestionKey {
    /// Number of mutually exclusive answers, 2 to 254; the last one is void.
    uint8 outcomes;
    /// Unix time in seconds from which void has won if nothing else had.
    uint64 deadline;
    /// keccak256(abi.encode(contentHash, labelsHash)) of the spec.
    bytes32 specHash;
}
