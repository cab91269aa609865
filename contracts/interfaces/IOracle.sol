// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { IMultiverse } from "./IMultiverse.sol";

/// @title What every oracle of this house offers
/// @notice An oracle finds out which answers of its questions are still possible and tells the ledger. Its parameters,
/// the terms, are bound into each question's id by their hash, so nobody can change them or show others. It has no owner
/// and treats every caller alike.
interface IOracle {
    /// @notice How far a question has come.
    /// Unknown: nobody asked this oracle this question in the ledger.
    /// Open: no answer yet. An oracle that keeps nothing itself stays here until it settles.
    /// Pending: an answer stands, but may still be replaced.
    /// Final: the answer can no longer change; `settle` would record it.
    /// Settled: the ledger has one outcome left, by the oracle's word or by time.
    enum Status {
        Unknown,
        Open,
        Pending,
        Final,
        Settled
    }

    /// @notice Thrown by the constructor when the ledger's address has no code.
    error MultiverseHasNoCode(address multiverse);
    /// @notice Thrown when the terms bound into a question are not the ABI encoding of this oracle's terms.
    error MalformedTerms(QuestionId question);
    /// @notice Thrown when a proof is not the ABI encoding of this oracle's proof.
    error MalformedProof(QuestionId question);
    /// @notice Thrown when there is no final answer yet.
    error NotFinal(QuestionId question);

    /// @notice The ledger this oracle answers to.
    function multiverse() external view returns (IMultiverse);

    /// @notice The id of the question that binds this oracle to `terms`.
    /// @param terms The oracle's own ABI-encoded parameters.
    function questionId(QuestionKey calldata key, bytes calldata terms) external view returns (QuestionId);

    /// @notice How far `question` has come.
    function status(QuestionId question) external view returns (Status);

    /// @notice Tells the ledger what the oracle knows. Permissionless, and independent of who calls. Again with the same
    /// result is a silent no-op; another result than the recorded one, or one that comes after the deadline, reverts in
    /// the ledger. A question that was not asked with just this key and these terms reverts as unknown.
    /// @param terms The oracle's own ABI-encoded parameters, as hashed into the question's id.
    /// @param proof What this oracle needs to see, ABI-encoded; empty for some.
    /// @return question Its id.
    /// @return survivors Bit mask of the outcomes still possible, as told to the ledger.
    function settle(
        QuestionKey calldata key,
        bytes calldata terms,
        bytes calldata proof
    ) external returns (QuestionId question, uint256 survivors);
}
