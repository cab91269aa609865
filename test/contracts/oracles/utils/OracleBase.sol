// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../../contracts/interfaces/IMultiverse.sol";
import { IOracle } from "../../../../contracts/interfaces/IOracle.sol";
import { QuestionId } from "../../../../contracts/types/QuestionId.sol";
import { QuestionKey } from "../../../../contracts/types/QuestionKey.sol";
import { Base } from "../../utils/Base.sol";
import { Vm } from "../../utils/Vm.sol";

/// @notice Cheatcodes that only the oracles' tests use.
interface OracleVm is Vm {
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function getCode(string calldata name) external view returns (bytes memory);
    function readFile(string calldata path) external view returns (string memory);
    function parseBytes(string calldata text) external pure returns (bytes memory);
}

/// @notice The ledger, and questions for any oracle.
abstract contract OracleBase is Base {
    OracleVm internal constant cheats = OracleVm(address(vm));
    bytes32 internal constant SPEC = keccak256("spec");

    /// @notice Deploys an oracle from its artifact: the tests know it by its interface only, and are not compiled anew
    /// when it changes, which is what makes mutating it cheap. A run of single test files does not build the contracts:
    /// run `hardhat build` before it.
    function _deploy(string memory name, address ledger_) internal returns (address) {
        return _create(bytes.concat(cheats.getCode(name), abi.encode(ledger_)));
    }

    function _create(bytes memory code) internal returns (address deployed) {
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        vm.assertTrue(deployed != address(0), "deployed");
    }

    function _key(uint8 outcomes, uint64 deadline) internal pure returns (QuestionKey memory) {
        return QuestionKey({ outcomes: outcomes, deadline: deadline, specHash: SPEC });
    }

    /// @notice Asks the question that binds `target` to `terms`.
    function _askOf(IOracle target, QuestionKey memory key, bytes memory terms) internal returns (QuestionId question) {
        question = ledger.ask(address(target), key.outcomes, key.deadline, key.specHash, keccak256(terms), "");
        vm.assertTrue(question == target.questionId(key, terms), "the oracle derives the ledger's id");
    }

    function _assertStatus(
        IOracle target,
        QuestionId question,
        IOracle.Status expected,
        string memory message
    ) internal view {
        vm.assertEq(uint256(target.status(question)), uint256(expected), message);
    }

    function _assertLive(QuestionId question, uint256 expected, string memory message) internal view {
        vm.assertEq(ledger.live(question), expected, message);
    }

    function _unknown(QuestionId question) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, question);
    }

    function _alreadyResolved(QuestionId question, uint256 winner) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, winner);
    }

    function _malformedTerms(QuestionId question) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IOracle.MalformedTerms.selector, question);
    }

    function _malformedProof(QuestionId question) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IOracle.MalformedProof.selector, question);
    }

    function _notFinal(QuestionId question) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(IOracle.NotFinal.selector, question);
    }
}
