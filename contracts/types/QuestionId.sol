// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Names a question for ever. The low byte is its number of outcomes (2 to 254); the rest binds its oracle,
/// deadline, spec and terms, so nobody can squat an id or redirect who answers it.
type QuestionId is bytes32;

using { eq as ==, lt as < } for QuestionId global;
using QuestionIds for QuestionId global;

function eq(QuestionId a, QuestionId b) pure returns (bool) {
    return QuestionId.unwrap(a) == QuestionId.unwrap(b);
}

function lt(QuestionId a, QuestionId b) pure returns (bool) {
    return QuestionId.unwrap(a) < QuestionId.unwrap(b);
}

/// @notice The one place where a question id is derived. TypeScript twin: `questionId` in `sdk/ids.ts`.
library QuestionIds {
    /// @notice keccak256(abi.encode(oracle, outcomes, deadline, specHash, termsHash)), its low byte replaced by `outcomes`.
    /// @param oracle Address that alone may narrow the question.
    /// @param outcomes Number of mutually exclusive answers; the last one is void.
    /// @param deadline Unix time in seconds from which void has won if nothing else had.
    /// @param specHash keccak256(abi.encode(contentHash, labelsHash)) of the spec.
    /// @param termsHash keccak256 of the oracle's own ABI-encoded parameters.
    function derive(
        address oracle,
        uint8 outcomes,
        uint64 deadline,
        bytes32 specHash,
        bytes32 termsHash
    ) internal pure returns (QuestionId) {
        uint256 hash = uint256(keccak256(abi.encode(oracle, outcomes, deadline, specHash, termsHash)));
        return QuestionId.wrap(bytes32((hash & ~uint256(0xff)) | outcomes));
    }

    /// @notice How many answers the question has, read from its id.
    function outcomeCount(QuestionId question) internal pure returns (uint256) {
        return uint256(QuestionId.unwrap(question)) & 0xff;
    }
}
