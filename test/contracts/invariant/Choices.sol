// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";
import { QuestionId } from "../../../contracts/types/QuestionId.sol";
import { ILedger } from "../utils/ILedger.sol";
import { GhostBook } from "./GhostBook.sol";

/// @notice Random choices among what the ghost's book allows, and calls to the ledger that must succeed or be refused.
abstract contract Choices is GhostBook {
    struct Call {
        string name;
        uint256 seed;
    }

    ILedger public ledger;
    /// @notice What was done since setUp, for a failure to be played again.
    Call[] public calls;
    /// @notice How often each action went through.
    mapping(string name => uint256) public successes;

    uint256 private _seed;
    /// @dev What the ledger last said was live.
    mapping(uint256 round => uint256[QUESTIONS_MAX]) private _seen;

    /// @dev Every action draws its choices from one seed, so that a name and a number play it again.
    modifier action(string memory name, uint256 seed) {
        calls.push(Call(name, seed));
        _seed = seed;
        vm.warp(time);
        _;
        for (uint256 q = 0; q < questionCount(); ++q) {
            uint256 live = ledger.live(questions[q]);
            bool shrinks = live != 0 && (_seen[round][q] == 0 || live & ~_seen[round][q] == 0);
            vm.assertTrue(shrinks, "11: live only shrinks and is never empty");
            _seen[round][q] = live;
        }
    }

    function callCount() external view returns (uint256) {
        return calls.length;
    }

    /* CHOICES */

    function _random(uint256 below) internal returns (uint256) {
        _seed = uint256(keccak256(abi.encode(_seed)));
        return _seed % below;
    }

    function _anyOne() internal returns (uint256 t, uint256 o) {
        return (_random(TOKENS), _random(OWNERS));
    }

    /// @dev The owner himself mostly, else anybody.
    function _anyReceiver(uint256 o) internal returns (uint256) {
        return _random(4) == 0 ? _random(OWNERS) : o;
    }

    /// @dev All of it, the least of it, or something between.
    function _part(uint256 most) internal returns (uint256) {
        uint256 dice = _random(4);
        if (dice == 0) return most;
        return dice == 1 ? 1 : 1 + _random(most);
    }

    /// @dev One bit of a mask.
    function _anyBit(uint256 mask) internal returns (uint256) {
        uint256 kept = mask;
        for (uint256 skip = _random(QUESTIONS_MAX); skip != 0; --skip) {
            kept &= kept - 1;
            if (kept == 0) kept = mask;
        }
        return kept & (~kept + 1);
    }

    function _anyOpen() internal returns (bool, uint256 q) {
        uint256 first = _random(questionCount());
        for (uint256 i = 0; i < questionCount(); ++i) {
            q = (first + i) % questionCount();
            if (!isDecided(q)) return (true, q);
        }
        return (false, 0);
    }

    /// @dev A verse that leaves `q` open and of which the owner has something, else ROOT.
    function _anyHeldParent(uint256 t, uint256 o, uint256 q) internal returns (uint256 code) {
        uint256 first = _random(verseCount());
        for (uint256 i = 0; i < verseCount(); ++i) {
            code = (first + i) % verseCount();
            if (_digit(code, q) == 0 && _book(t, o, code) != 0) return code;
        }
        return 0;
    }

    /// @dev A verse and a question of which the owner can pull up `most`, in half of the cases at depth 3 if there is one; 0
    /// when there is none at all.
    function _anyHeldPartition(uint256 t, uint256 o) internal returns (uint256 code, uint256 q, uint256 most) {
        uint256 first = _random(verseCount());
        uint256 deep = _random(2) * verseCount();
        for (uint256 i = 0; i < deep + verseCount(); ++i) {
            uint256 child = (first + i) % verseCount();
            if (_book(t, o, child) == 0 || (i < deep && _depth(child) < 3)) continue;
            (code, q, most) = _partitionAbove(t, o, child);
            if (most != 0) return (code, q, most);
        }
    }

    /// @dev A verse above this one and the question between them, if the owner can pull up through it.
    function _partitionAbove(
        uint256 t,
        uint256 o,
        uint256 child
    ) internal view returns (uint256 code, uint256 q, uint256 most) {
        for (q = 0; q < questionCount(); ++q) {
            if (_digit(child, q) == 0) continue;
            code = _without(child, q);
            most = _mostPullable(t, o, code, q);
            if (most != 0) return (code, q, most);
        }
    }

    /// @dev A verse of which the owner has something; ROOT when there is none.
    function _anyHeld(uint256 t, uint256 o) internal returns (uint256 code) {
        uint256 first = _random(verseCount());
        for (uint256 i = 0; i < verseCount(); ++i) {
            code = (first + i) % verseCount();
            if (_book(t, o, code) != 0) return code;
        }
        return 0;
    }

    /* CALLS */

    function _pushCall(
        uint256 t,
        uint256 code,
        uint256 q,
        uint256 amount,
        address to
    ) internal view returns (bytes memory) {
        return abi.encodeCall(IMultiverse.pushDown, (_path(code), questions[q], tokens[t], amount, to));
    }

    function _pullCall(
        uint256 t,
        uint256 code,
        uint256 q,
        uint256 amount,
        address to
    ) internal view returns (bytes memory) {
        return abi.encodeCall(IMultiverse.pullUp, (_path(code), questions[q], tokens[t], amount, to));
    }

    function _narrowCall(uint256 q, uint256 survivors) internal view returns (bytes memory) {
        return abi.encodeCall(IMultiverse.narrow, (questions[q], survivors));
    }

    function _expireCall(uint256 q) internal view returns (bytes memory) {
        return abi.encodeCall(IMultiverse.expire, (questions[q]));
    }

    function _ask(uint256 q) internal {
        vm.prank(owners[_random(OWNERS)]);
        QuestionId id = ledger.ask(ORACLE, uint8(outcomesOf(q)), uint64(deadlines[q]), specs[q], 0, "data:,");
        vm.assertEq(QuestionId.unwrap(id), QuestionId.unwrap(questions[q]), "question id");
        ++successes["ask"];
    }

    /// @dev The ledger must do it.
    function _do(address caller, bytes memory data) internal {
        _succeed(caller, address(ledger), data);
    }

    function _succeed(address caller, address target, bytes memory data) internal {
        vm.prank(caller);
        (bool ok, bytes memory result) = target.call(data);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(result, 32), mload(result))
        }
    }

    /// @dev The ledger must refuse it with this error.
    function _refuse(address caller, bytes memory data, bytes4 expected) internal {
        vm.prank(caller);
        (bool ok, bytes memory result) = address(ledger).call(data);
        vm.assertTrue(!ok, "must be refused");
        vm.assertEq(bytes32(bytes4(result)), bytes32(expected), "refused for another reason");
    }
}
