// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { QuestionId } from "../types/QuestionId.sol";

/// @title Who an optimistic game turns to when the players cannot agree
/// @notice An arbitrator answers by calling `IOptimisticOracle.rule` on the oracle that called it, in a later transaction
/// and within its window. It may also be a plain account: then the call below only hands it the fee.
interface IArbitrator {
    /// @notice Asks for a ruling. Refuse by reverting, e.g. when the fee is too small: the request then never happened.
    /// @param question The question, asked of the calling oracle.
    /// @param requester Who pays; what is paid over the fee is between the two.
    /// @param until Unix time in seconds from which a ruling is refused.
    function requestArbitration(QuestionId question, address requester, uint64 until) external payable;

    /// @notice What `requestArbitration` costs now, in wei. For those who ask; the oracle does not call it.
    function arbitrationFee(QuestionId question) external view returns (uint256);
}
