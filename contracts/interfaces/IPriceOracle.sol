// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IOracle } from "./IOracle.sol";

/// @title An oracle that reads a Chainlink feed at one moment
/// @notice The price at `time` is the answer of the first round written at or after it. Which round that is, is proven:
/// it was written at `time` or later and the round before it earlier, both in the phase the terms pin. So the outcome is
/// the same whoever settles and whenever.
///
/// Outcome i is the number of thresholds at or below the price: with k thresholds there are k + 1 buckets, and void last.
/// Void is also the answer when that first round came more than `maxDelay` late or its price is not positive.
/// When the feed moves to another phase before `time`, nothing can be proven and void wins at the deadline.
///
/// Terms are `abi.encode(Terms)`, a proof is `abi.encode(uint80 roundId)`.
interface IPriceOracle is IOracle {
    /// @notice Which price, and how it is read.
    /// @param feed The feed's proxy.
    /// @param phase The feed's phase the rounds have to be of.
    /// @param time Unix time in seconds whose price is asked for.
    /// @param maxDelay Seconds after `time` the first round may have been written.
    /// @param thresholds Bounds between buckets, strictly ascending, in the feed's decimals; two fewer than outcomes.
    struct Terms {
        address feed;
        uint16 phase;
        uint64 time;
        uint32 maxDelay;
        int256[] thresholds;
    }

    /// @notice Thrown when the terms' thresholds are not two fewer than the question's outcomes.
    error ThresholdCountMismatch(uint256 thresholds, uint256 outcomes);
    /// @notice Thrown when the terms' thresholds do not strictly ascend, at the offending index.
    error ThresholdsNotAscending(uint256 index);
    /// @notice Thrown when the round is of another phase.
    error WrongPhase(uint80 roundId, uint256 expected, uint256 actual);
    /// @notice Thrown when there is no round before this one in its phase, so nothing proves that it is the first one at
    /// or after the time.
    error NoRoundBefore(uint80 roundId);
    /// @notice Thrown when the feed has no such round.
    error RoundMissing(address feed, uint80 roundId);
    /// @notice Thrown when the round was never written.
    error RoundIncomplete(uint80 roundId);
    /// @notice Thrown when the round was written before the time asked for.
    error RoundTooEarly(uint80 roundId, uint256 updatedAt, uint256 time);
    /// @notice Thrown when the round before was written at or after the time too.
    error RoundTooLate(uint80 roundId, uint256 previousUpdatedAt, uint256 time);

    /// @notice Decodes terms; reverts without a reason when they are none.
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory);

    /// @notice Decodes a proof; reverts without a reason when it is none.
    function decodeProof(bytes calldata proof) external pure returns (uint80 roundId);
}
