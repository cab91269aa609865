// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { IPriceOracle } from "../interfaces/IPriceOracle.sol";
import { IAggregatorV3 } from "../interfaces/external/IAggregatorV3.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { Oracle } from "./Oracle.sol";

/// @title An oracle that reads a Chainlink feed at one moment
contract PriceOracle is IPriceOracle, Oracle {
    /// @dev Bits of a round id below the phase.
    uint256 private constant PHASE_OFFSET = 64;
    /// @dev Bytes `getRoundData` returns.
    uint256 private constant ROUND_SIZE = 160;

    constructor(IMultiverse multiverse_) Oracle(multiverse_) {}

    /// @inheritdoc IPriceOracle
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory) {
        return abi.decode(terms, (Terms));
    }

    /// @inheritdoc IPriceOracle
    function decodeProof(bytes calldata proof) external pure returns (uint80 roundId) {
        return abi.decode(proof, (uint80));
    }

    function _survivors(
        QuestionId question,
        QuestionKey calldata key,
        bytes calldata terms,
        bytes calldata proof
    ) internal view override returns (uint256) {
        Terms memory asked = _terms(question, key, terms);
        uint80 roundId = _roundId(question, proof);
        (int256 price, uint256 updatedAt) = _firstRoundAt(asked, roundId);

        bool usable = price > 0 && updatedAt - asked.time <= asked.maxDelay;
        return 1 << (usable ? _bucket(asked.thresholds, price) : key.outcomes - 1);
    }

    function _terms(
        QuestionId question,
        QuestionKey calldata key,
        bytes calldata terms
    ) private view returns (Terms memory asked) {
        try this.decodeTerms(terms) returns (Terms memory decoded) {
            asked = decoded;
        } catch {
            revert MalformedTerms(question);
        }
        uint256 count = asked.thresholds.length;
        if (count + 2 != key.outcomes) revert ThresholdCountMismatch(count, key.outcomes);
        for (uint256 i = 1; i < count; ++i) {
            if (asked.thresholds[i] <= asked.thresholds[i - 1]) revert ThresholdsNotAscending(i);
        }
    }

    function _roundId(QuestionId question, bytes calldata proof) private view returns (uint80) {
        try this.decodeProof(proof) returns (uint80 roundId) {
            return roundId;
        } catch {
            revert MalformedProof(question);
        }
    }

    /// @dev Reads the round after proving that it is the first one of its phase written at or after the time.
    function _firstRoundAt(Terms memory asked, uint80 roundId) private view returns (int256 price, uint256 updatedAt) {
        uint256 phase = roundId >> PHASE_OFFSET;
        if (phase != asked.phase) revert WrongPhase(roundId, asked.phase, phase);
        if (uint64(roundId) <= 1) revert NoRoundBefore(roundId);

        (price, updatedAt) = _round(asked.feed, roundId);
        if (updatedAt < asked.time) revert RoundTooEarly(roundId, updatedAt, asked.time);
        (, uint256 previous) = _round(asked.feed, roundId - 1);
        if (previous >= asked.time) revert RoundTooLate(roundId, previous, asked.time);
    }

    /// @dev A complete round, or a revert. The words are decoded without the range checks of their declared types, which
    /// would revert without a reason.
    function _round(address feed, uint80 roundId) private view returns (int256 price, uint256 updatedAt) {
        (bool ok, bytes memory result) = feed.staticcall(abi.encodeCall(IAggregatorV3.getRoundData, (roundId)));
        if (!ok || result.length < ROUND_SIZE) revert RoundMissing(feed, roundId);
        (, price, , updatedAt) = abi.decode(result, (uint256, int256, uint256, uint256));
        if (updatedAt == 0) revert RoundIncomplete(roundId);
    }

    /// @dev How many thresholds are at or below the price.
    function _bucket(int256[] memory thresholds, int256 price) private pure returns (uint256 outcome) {
        while (outcome < thresholds.length && thresholds[outcome] <= price) ++outcome;
    }
}
