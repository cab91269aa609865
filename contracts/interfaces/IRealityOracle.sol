// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IOracle } from "./IOracle.sol";

/// @title An oracle that repeats reality.eth
/// @notice Takes the final answer to a question asked at reality.eth (version 3): answer k, read as a number, is outcome k
/// of ours. "Invalid" and every number without an outcome are void, the last outcome. "Answered too soon" is no answer:
/// then reality.eth's reopening counts, one level deep.
///
/// Terms are `abi.encode(Terms)`, the proof is empty. The deadline has to leave room for reality.eth's own game and its
/// arbitration, on which this contract has no influence.
interface IRealityOracle is IOracle {
    /// @notice Which question at which reality.eth. All but the first two are contained in the id there; they are stated
    /// so that whoever reads the terms knows them, and checked at `settle`.
    /// @param reality The reality.eth contract.
    /// @param realityQuestion The question's id there.
    /// @param contentHash keccak256(abi.encodePacked(templateId, openingTs, question)).
    /// @param arbitrator Its arbitrator.
    /// @param timeout Seconds an answer has to stand there.
    /// @param minBond What the first answer has to put up there.
    struct Terms {
        address reality;
        bytes32 realityQuestion;
        bytes32 contentHash;
        address arbitrator;
        uint32 timeout;
        uint256 minBond;
    }

    /// @notice Thrown when a call to reality.eth reverts or returns too little.
    error RealityCallFailed(address reality, bytes4 selector);
    /// @notice Thrown when what reality.eth says of the question is not what the terms say of it.
    /// @param selector The getter that differs.
    error RealityMismatch(bytes4 selector, bytes32 expected, bytes32 actual);

    /// @notice Decodes terms; reverts without a reason when they are none.
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory);
}
