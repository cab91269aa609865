// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ILedger } from "./ILedger.sol";
import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { TestToken } from "../../../contracts/mocks/TestToken.sol";
import { PositionId } from "../../../contracts/types/PositionId.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { Answer, VerseId } from "../../../contracts/types/VerseId.sol";
import { Vm } from "./Vm.sol";

/// @notice A ledger, a token, three owners who hold some of it and approved the ledger, and an oracle.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint64 internal constant DEADLINE = 2_000_000_000;
    uint256 internal constant FUNDS = 1e30;
    uint256 internal constant MAX_AMOUNT = 2 ** 127 - 1;
    bytes32 internal constant TERMS = keccak256("terms");

    ILedger internal ledger;
    TestToken internal token;
    address internal alice = _account("alice");
    address internal bob = _account("bob");
    address internal carol = _account("carol");
    address internal oracle = _account("oracle");

    uint256 private _salt;

    function setUp() public virtual {
        vm.warp(1_900_000_000);
        ledger = ILedger(_deploy("contracts/Multiverse.sol:Multiverse", ""));
        token = new TestToken("Test Dollar", "TUSD", 6);
        _fund(alice);
        _fund(bob);
        _fund(carol);
    }

    function _deploy(string memory name, bytes memory args) internal returns (address deployed) {
        bytes memory code = bytes.concat(vm.getCode(name), args);
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
    }

    function _account(string memory name) internal returns (address account) {
        account = vm.addr(uint256(keccak256(bytes(name))));
        vm.label(account, name);
    }

    function _fund(address owner) internal {
        token.mint(owner, FUNDS);
        vm.prank(owner);
        token.approve(address(ledger), type(uint256).max);
    }

    function _bound(uint256 value, uint256 min, uint256 max) internal pure returns (uint256) {
        return min + (value % (max - min + 1));
    }

    /* QUESTIONS AND PATHS */

    /// @notice A new question by `oracle` with the common deadline.
    function _ask(uint8 outcomes) internal returns (QuestionId) {
        return ledger.ask(oracle, outcomes, DEADLINE, keccak256(abi.encode(++_salt)), TERMS, "");
    }

    /// @notice Two new questions in ascending order.
    function _askPair(uint8 first, uint8 second) internal returns (QuestionId low, QuestionId high) {
        low = _ask(first);
        do high = _ask(second); while (!(low < high));
    }

    function _narrow(QuestionId question, uint256 survivors) internal {
        vm.prank(oracle);
        ledger.narrow(question, survivors);
    }

    function _path() internal pure returns (Answer[] memory) {
        return new Answer[](0);
    }

    function _path(QuestionId question, uint256 outcome) internal pure returns (Answer[] memory path) {
        path = new Answer[](1);
        path[0] = Answer(question, uint8(outcome));
    }

    function _path(
        QuestionId first,
        uint256 firstOutcome,
        QuestionId second,
        uint256 secondOutcome
    ) internal pure returns (Answer[] memory path) {
        path = new Answer[](2);
        path[0] = Answer(first, uint8(firstOutcome));
        path[1] = Answer(second, uint8(secondOutcome));
    }

    /// @notice The path with one more answer where its question sorts.
    function _with(
        Answer[] memory path,
        QuestionId question,
        uint256 outcome
    ) internal pure returns (Answer[] memory longer) {
        longer = new Answer[](path.length + 1);
        uint256 i = 0;
        for (; i < path.length && path[i].question < question; ++i) longer[i] = path[i];
        longer[i] = Answer(question, uint8(outcome));
        for (; i < path.length; ++i) longer[i + 1] = path[i];
    }

    function _id(Answer[] memory path) internal view returns (PositionId) {
        return ledger.positionId(ledger.verseId(path), address(token));
    }

    function _rawId(Answer[] memory path) internal view returns (uint256) {
        return PositionId.unwrap(_id(path));
    }

    /* ACTIONS AND BALANCES */

    function _pushDown(address owner, Answer[] memory path, QuestionId question, uint256 amount) internal {
        vm.prank(owner);
        ledger.pushDown(path, question, address(token), amount, owner);
    }

    function _pullUp(address owner, Answer[] memory path, QuestionId question, uint256 amount) internal {
        vm.prank(owner);
        ledger.pullUp(path, question, address(token), amount, owner);
    }

    function _transfer(address from, address to, Answer[] memory path, uint256 amount) internal {
        uint256 id = _rawId(path);
        vm.prank(from);
        ledger.transfer(to, id, amount);
    }

    function _balance(address owner, Answer[] memory path) internal view returns (uint256) {
        return ledger.multiverseMap(ledger.verseId(path), address(token), owner);
    }

    function _assertBalance(
        address owner,
        Answer[] memory path,
        uint256 expected,
        string memory message
    ) internal view {
        vm.assertEq(_balance(owner, path), expected, message);
    }

    /* EXPECTED ERRORS */

    function _expect(bytes memory revertData) internal {
        vm.expectRevert(revertData);
    }

    function _insufficient(
        address owner,
        Answer[] memory path,
        uint256 balance,
        uint256 needed
    ) internal view returns (bytes memory) {
        return abi.encodeWithSelector(IMultiverse.InsufficientBalance.selector, owner, _id(path), balance, needed);
    }

    function _verse(Answer[] memory path) internal view returns (VerseId) {
        return ledger.verseId(path);
    }
}
