// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC6909 } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";

contract PullUpTest is Base {
    function test_pullUp_ofASetWritesOnceWhateverTheNumberOfOutcomes() public {
        uint8[2] memory sizes = [2, 64];
        for (uint256 i = 0; i < sizes.length; ++i) {
            QuestionId question = _ask(sizes[i]);
            _pushDown(alice, _path(), question, 100);
            vm.record();
            vm.prank(alice);
            ledger.pullUp(_path(), question, address(token), 40, alice);
            (, bytes32[] memory writes) = vm.accesses(address(ledger));
            vm.assertEq(writes.length, 1, "one storage write");
        }
    }

    function test_pullUp_givesTheParentBack() public {
        QuestionId question = _ask(3);
        _pushDown(alice, _path(), question, 100);
        vm.prank(alice);
        ledger.pullUp(_path(), question, address(token), 40, bob);
        vm.assertEq(token.balanceOf(bob), FUNDS + 40, "to the receiver");
        for (uint256 outcome = 0; outcome < 3; ++outcome) {
            _assertBalance(alice, _path(question, outcome), 60, "child");
        }
    }

    function test_pullUp_emitsBurnsThenOnePullUp() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, alice, address(0), _rawId(_path(question, 0)), 40);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, alice, address(0), _rawId(_path(question, 1)), 40);
        vm.expectEmit(address(ledger));
        emit IMultiverse.PullUp(ROOT, question, alice, address(token), bob, 40, 3, _path());
        vm.prank(alice);
        ledger.pullUp(_path(), question, address(token), 40, bob);
    }

    function test_pullUp_nestedEmitsTheParentsMintBeforePullUp() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), high, 100);
        _pushDown(alice, _path(high, 1), low, 100);
        _narrow(low, 2);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, alice, address(0), _rawId(_path(low, 1, high, 1)), 40);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, address(0), bob, _rawId(_path(high, 1)), 40);
        vm.expectEmit(address(ledger));
        emit IMultiverse.PullUp(_verse(_path(high, 1)), low, alice, address(token), bob, 40, 2, _path(high, 1));
        vm.prank(alice);
        ledger.pullUp(_path(high, 1), low, address(token), 40, bob);
        _assertBalance(bob, _path(high, 1), 40, "parent");
    }

    function test_pullUp_acceptsPositionsThatWereBought() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        _transfer(alice, bob, _path(question, 0), 100);
        _transfer(alice, bob, _path(question, 1), 100);
        // Bob's set goes negative in the books, his balances never do.
        _pullUp(bob, _path(), question, 60);
        _assertBalance(bob, _path(question, 0), 40, "left");
        _assertBalance(bob, _path(question, 1), 40, "left");
        _pullUp(bob, _path(), question, 40);
        vm.assertEq(token.balanceOf(bob), FUNDS + 100, "all out");
        vm.assertEq(token.balanceOf(address(ledger)), 0, "empty");
    }

    function test_pullUp_isTheInverseAfterNarrowing() public {
        QuestionId question = _ask(4);
        _pushDown(alice, _path(), question, 100);
        _narrow(question, 10);
        _pullUp(alice, _path(), question, 30);
        _assertBalance(alice, _path(question, 0), 100, "ruled out: untouched");
        _assertBalance(alice, _path(question, 1), 70, "survivor");
        _assertBalance(alice, _path(question, 2), 100, "ruled out: untouched");
        _assertBalance(alice, _path(question, 3), 70, "last");
        _pushDown(alice, _path(), question, 30);
        _pullUp(alice, _path(), question, 100);
        _assertBalance(alice, _path(question, 1), 0, "survivor");
        vm.assertEq(token.balanceOf(alice), FUNDS, "whole again");
        _expect(_insufficient(alice, _path(question, 1), 0, 1));
        _pullUp(alice, _path(), question, 1);
    }

    function test_pullUp_redeemsTheWinnerAlone() public {
        QuestionId question = _ask(3);
        _pushDown(alice, _path(), question, 100);
        _transfer(alice, bob, _path(question, 1), 80);
        _narrow(question, 2);
        _pullUp(bob, _path(), question, 80);
        _pullUp(alice, _path(), question, 20);
        vm.assertEq(token.balanceOf(bob), FUNDS + 80, "bob bought the winner");
        vm.assertEq(token.balanceOf(alice), FUNDS - 80, "alice kept the losers");
        _assertBalance(alice, _path(question, 0), 100, "a dead verse");
    }

    function test_pullUp_paysVoidFromTheDeadlineOn() public {
        QuestionId question = _ask(3);
        _pushDown(alice, _path(), question, 100);
        _transfer(alice, bob, _path(question, 2), 100);
        vm.warp(DEADLINE);
        _expect(_insufficient(alice, _path(question, 2), 0, 1));
        _pullUp(alice, _path(), question, 1);
        _pullUp(bob, _path(), question, 50);
        ledger.expire(question);
        _pullUp(bob, _path(), question, 50);
        vm.assertEq(token.balanceOf(bob), FUNDS + 100, "recorded or not");
    }

    function test_pullUp_stripsAResolvedAnswerFromAnywhere() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), low, 100);
        _pushDown(alice, _path(low, 0), high, 100);
        _narrow(low, 1);
        // The first answer of the path is stripped first.
        _pullUp(alice, _path(high, 0), low, 100);
        _pullUp(alice, _path(high, 1), low, 100);
        _assertBalance(alice, _path(high, 0), 100, "stripped");
        _pullUp(alice, _path(), high, 100);
        vm.assertEq(token.balanceOf(alice), FUNDS, "out");
    }

    function test_pullUp_keepsDeadVersesApart() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), low, 100);
        _narrow(low, 1);
        // What did not happen can still be split ...
        _pushDown(alice, _path(low, 1), high, 100);
        // ... but leads nowhere.
        _expect(_insufficient(alice, _path(low, 0, high, 0), 0, 100));
        _pullUp(alice, _path(high, 0), low, 100);
    }

    function test_pullUp_revertsWithoutEveryChild() public {
        QuestionId question = _ask(3);
        _pushDown(alice, _path(), question, 100);
        _transfer(alice, bob, _path(question, 1), 1);
        _expect(_insufficient(alice, _path(question, 1), 99, 100));
        _pullUp(alice, _path(), question, 100);
        _expect(_insufficient(bob, _path(question, 0), 0, 1));
        _pullUp(bob, _path(), question, 1);
    }

    function test_pullUp_revertsForBadInput() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), low, 100);
        QuestionId unknown = QuestionId.wrap(bytes32(uint256(2)));
        vm.startPrank(alice);

        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        ledger.pullUp(_path(), low, address(token), 0, alice);
        _expect(abi.encodeWithSelector(IMultiverse.AmountTooLarge.selector, MAX_AMOUNT + 1));
        ledger.pullUp(_path(), low, address(token), MAX_AMOUNT + 1, alice);
        _expect(abi.encodeWithSelector(IMultiverse.ReceiverIsZero.selector));
        ledger.pullUp(_path(), low, address(token), 1, address(0));
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, unknown));
        ledger.pullUp(_path(), unknown, address(token), 1, alice);
        _expect(abi.encodeWithSelector(IMultiverse.QuestionInPath.selector, low));
        ledger.pullUp(_path(low, 0), low, address(token), 1, alice);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        ledger.pullUp(_path(high, 0, low, 0), unknown, address(token), 1, alice);
        _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, high, 2));
        ledger.pullUp(_path(high, 2), low, address(token), 1, alice);
        vm.stopPrank();
    }

    /* pullUpFor, setRedeemer */

    function test_pullUpFor_paysTheOwner() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        vm.expectEmit(address(ledger));
        emit IMultiverse.RedeemerSet(alice, carol, true);
        vm.prank(alice);
        ledger.setRedeemer(carol, true);
        vm.assertTrue(ledger.isRedeemer(alice, carol), "named");

        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(carol, alice, address(0), _rawId(_path(question, 0)), 30);
        vm.prank(carol);
        ledger.pullUpFor(alice, _path(), question, address(token), 30);
        vm.assertEq(token.balanceOf(alice), FUNDS - 70, "to the owner");
        vm.assertEq(token.balanceOf(carol), FUNDS, "nothing to the redeemer");
        _assertBalance(alice, _path(question, 1), 70, "child");
    }

    function test_pullUpFor_ofOneSurvivorNamesWhoCalled() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        vm.prank(alice);
        ledger.setRedeemer(carol, true);
        _narrow(question, 2);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(carol, alice, address(0), _rawId(_path(question, 1)), 30);
        vm.prank(carol);
        ledger.pullUpFor(alice, _path(), question, address(token), 30);
    }

    function test_pullUpFor_revertsForAnybodyElse() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        vm.prank(alice);
        ledger.setOperator(bob, true);
        vm.prank(alice);
        ledger.setRedeemer(carol, true);

        _expectNotRedeemer(question, alice, bob);
        _expectNotRedeemer(question, alice, alice);
        vm.prank(alice);
        ledger.setRedeemer(carol, false);
        vm.assertTrue(!ledger.isRedeemer(alice, carol), "no longer");
        _expectNotRedeemer(question, alice, carol);
    }

    function test_pullUpFor_grantsNothingElse() public {
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, 100);
        vm.prank(alice);
        ledger.setRedeemer(carol, true);
        uint256 id = _rawId(_path(question, 0));
        _expect(abi.encodeWithSelector(IMultiverse.InsufficientAllowance.selector, alice, carol, id, 0, 1));
        vm.prank(carol);
        ledger.transferFrom(alice, carol, id, 1);
        _expectNotRedeemer(question, bob, carol);
    }

    function test_pullUpFor_checksWhatPullUpChecks() public {
        QuestionId question = _ask(2);
        vm.prank(alice);
        ledger.setRedeemer(carol, true);
        vm.startPrank(carol);
        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        ledger.pullUpFor(alice, _path(), question, address(token), 0);
        _expect(_insufficient(alice, _path(question, 0), 0, 1));
        ledger.pullUpFor(alice, _path(), question, address(token), 1);
        vm.stopPrank();
    }

    function _expectNotRedeemer(QuestionId question, address owner, address caller) private {
        vm.prank(caller);
        _expect(abi.encodeWithSelector(IMultiverse.NotRedeemer.selector, owner, caller));
        ledger.pullUpFor(owner, _path(), question, address(token), 1);
    }
}
