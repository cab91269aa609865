// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";
import { IMultiverse } from "../interfaces/IMultiverse.sol";
import { IRealityOracle } from "../interfaces/IRealityOracle.sol";
import { IRealityETH } from "../interfaces/external/IRealityETH.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { QuestionKey } from "../types/QuestionKey.sol";
import { Oracle } from "./Oracle.sol";

/// @title An oracle that repeats reality.eth
contract RealityOracle is IRealityOracle, Oracle {
    /// @dev reality.eth's "it was too soon to answer". Its `resultForOnceSettled` never returns it; others' might.
    bytes32 private constant UNRESOLVED = bytes32(type(uint256).max - 1);

    constructor(IMultiverse multiverse_) Oracle(multiverse_) {}

    /// @inheritdoc IRealityOracle
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory) {
        return abi.decode(terms, (Terms));
    }

    function _survivors(
        QuestionId question,
        QuestionKey calldata key,
        bytes calldata terms,
        bytes calldata
    ) internal view override returns (uint256) {
        Terms memory asked = _terms(question, terms);
        _requireMatch(asked, IRealityETH.getContentHash.selector, asked.contentHash);
        _requireMatch(asked, IRealityETH.getArbitrator.selector, bytes32(uint256(uint160(asked.arbitrator))));
        _requireMatch(asked, IRealityETH.getTimeout.selector, bytes32(uint256(asked.timeout)));
        _requireMatch(asked, IRealityETH.getMinBond.selector, bytes32(asked.minBond));

        (bool ok, bytes32 answer) = _read(asked, IRealityETH.resultForOnceSettled.selector);
        if (!ok || answer == UNRESOLVED) revert NotFinal(question);
        return 1 << Math.min(uint256(answer), key.outcomes - 1);
    }

    function _terms(QuestionId question, bytes calldata terms) private view returns (Terms memory) {
        try this.decodeTerms(terms) returns (Terms memory decoded) {
            return decoded;
        } catch {
            revert MalformedTerms(question);
        }
    }

    function _requireMatch(Terms memory asked, bytes4 getter, bytes32 expected) private view {
        (bool ok, bytes32 actual) = _read(asked, getter);
        if (!ok) revert RealityCallFailed(asked.reality, getter);
        if (actual != expected) revert RealityMismatch(getter, expected, actual);
    }

    /// @dev The one word a getter returns for the question. Not `ok` when it reverts or returns less.
    function _read(Terms memory asked, bytes4 getter) private view returns (bool ok, bytes32 word) {
        bytes memory result;
        (ok, result) = asked.reality.staticcall(abi.encodeWithSelector(getter, asked.realityQuestion));
        if (!ok || result.length < 32) return (false, 0);
        word = bytes32(result);
    }
}
