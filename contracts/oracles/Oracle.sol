// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { IOracle } from "../interfaces/IOracle.sol";
import { QuestionId, QuestionIds } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";

/// @title What the oracles share
/// @dev Terms and proofs arrive as bytes. Each oracle decodes them through an external function of its own, called by
/// itself under `try`: malformed bytes then end in a named error, where `abi.decode` alone would revert with none.
abstract contract Oracle is IOracle {
    /// @inheritdoc IOracle
    IMultiverse public immutable multiverse;

    constructor(IMultiverse multiverse_) {
        if (address(multiverse_).code.length == 0) revert MultiverseHasNoCode(address(multiverse_));
        multiverse = multiverse_;
    }

    /// @inheritdoc IOracle
    function settle(
        QuestionKey calldata key,
        bytes calldata terms,
        bytes calldata proof
    ) external returns (QuestionId question, uint256 survivors) {
        question = _asked(key, terms);
        survivors = _survivors(question, key, terms, proof);
        multiverse.narrow(question, survivors);
    }

    /// @inheritdoc IOracle
    function questionId(QuestionKey calldata key, bytes calldata terms) public view returns (QuestionId) {
        return QuestionIds.derive(address(this), key.outcomes, key.deadline, key.specHash, keccak256(terms));
    }

    /// @inheritdoc IOracle
    function status(QuestionId question) external view returns (Status) {
        if (multiverse.questions(question).oracle != address(this)) return Status.Unknown;
        uint256 live = multiverse.live(question);
        return live & (live - 1) == 0 ? Status.Settled : _progress(question);
    }

    /// @dev The question's id; reverts when it was not asked.
    function _asked(QuestionKey calldata key, bytes calldata terms) internal view returns (QuestionId question) {
        question = questionId(key, terms);
        multiverse.live(question);
    }

    /// @dev The outcomes `proof` shows to be still possible, or a revert.
    function _survivors(
        QuestionId question,
        QuestionKey calldata key,
        bytes calldata terms,
        bytes calldata proof
    ) internal view virtual returns (uint256);

    /// @dev The status of a question the ledger still holds open.
    function _progress(QuestionId) internal view virtual returns (Status) {
        return Status.Open;
    }
}
