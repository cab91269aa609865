// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC6909 } from "@openzeppelin/contracts/interfaces/IERC6909.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { PositionId } from "../../contracts/types/PositionId.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, ROOT } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { Vm } from "./utils/Vm.sol";

contract PushDownTest is Base {
    function test_pushDown_givesTheFullAmountInEveryChild() public {
        QuestionId question = _ask(4);
        vm.prank(alice);
        ledger.pushDown(_path(), question, address(token), 100, bob);

        for (uint256 outcome = 0; outcome < 4; ++outcome) {
            _assertBalance(bob, _path(question, outcome), 100, "child");
            _assertBalance(alice, _path(question, outcome), 0, "not the pusher's");
        }
        vm.assertEq(token.balanceOf(address(ledger)), 100, "collateral");
        vm.assertEq(ledger.multiverseMap(ROOT, address(token), alice), FUNDS - 100, "root is the ERC-20 itself");
    }

    function test_pushDown_emitsATransferForEachChildAndOnePushDown() public {
        QuestionId question = _ask(2);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, address(0), bob, _rawId(_path(question, 0)), 100);
        vm.expectEmit(address(ledger));
        emit IERC6909.Transfer(alice, address(0), bob, _rawId(_path(question, 1)), 100);
        vm.expectEmit(address(ledger));
        emit IMultiverse.PushDown(ROOT, question, alice, address(token), bob, 100, 3, _path());
        vm.prank(alice);
        ledger.pushDown(_path(), question, address(token), 100, bob);
    }

    function test_pushDown_nestedEmitsTheParentsBurnFirst() public {
        (QuestionId low, QuestionId high) = _askPair(3, 2);
        _narrow(low, 6);
        _pushDown(alice, _path(), high, 5);
        Answer[] memory parent = _path(high, 1);
        vm.recordLogs();
        _pushDown(alice, parent, low, 5);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 4, "a burn, two survivors, the push-down");
        _assertTransfer(logs[0], alice, address(0), parent, 5);
        _assertTransfer(logs[1], address(0), alice, _path(low, 1, high, 1), 5);
        _assertTransfer(logs[2], address(0), alice, _path(low, 2, high, 1), 5);
        vm.assertEq(logs[3].topics[0], IMultiverse.PushDown.selector, "push-down last");
        vm.assertEq(
            keccak256(logs[3].data),
            keccak256(abi.encode(address(token), alice, 5, 6, parent)),
            "data names the survivors and the path"
        );
    }

    function test_pushDown_intoASetEmitsNothingElse() public {
        (QuestionId low, QuestionId high) = _askPair(2, 3);
        _pushDown(alice, _path(), low, 5);
        vm.recordLogs();
        _pushDown(alice, _path(low, 0), high, 5);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 5, "a burn, three children, the push-down");
        _assertTransfer(logs[0], alice, address(0), _path(low, 0), 5);
        for (uint256 outcome = 0; outcome < 3; ++outcome) {
            _assertTransfer(logs[1 + outcome], address(0), alice, _path(low, 0, high, outcome), 5);
        }
        vm.assertEq(logs[4].topics[0], IMultiverse.PushDown.selector, "push-down last");
    }

    function test_pushDown_writesOnceWhateverTheNumberOfOutcomes() public {
        uint8[4] memory sizes = [2, 3, 64, 254];
        for (uint256 i = 0; i < sizes.length; ++i) {
            QuestionId question = _ask(sizes[i]);
            vm.record();
            _pushDown(alice, _path(), question, 100);
            (, bytes32[] memory writes) = vm.accesses(address(ledger));
            vm.assertEq(writes.length, 1, "one storage write");
        }
    }

    function test_pushDown_writesTheParentAndOnceMoreWhenNestedAndLast() public {
        (QuestionId low, QuestionId high) = _askPair(2, 64);
        _pushDown(alice, _path(), low, 100);
        vm.record();
        _pushDown(alice, _path(low, 0), high, 100);
        (, bytes32[] memory writes) = vm.accesses(address(ledger));
        vm.assertEq(writes.length, 2, "parent's delta, children's set");
    }

    function test_pushDown_ordersLeadToTheSameVerses() public {
        (QuestionId low, QuestionId high) = _askPair(2, 3);
        // Alice goes low then high, Bob high then low.
        _pushDown(alice, _path(), low, 10);
        for (uint256 outcome = 0; outcome < 2; ++outcome) _pushDown(alice, _path(low, outcome), high, 10);
        _pushDown(bob, _path(), high, 10);
        for (uint256 outcome = 0; outcome < 3; ++outcome) _pushDown(bob, _path(high, outcome), low, 10);

        for (uint256 l = 0; l < 2; ++l) {
            _assertBalance(alice, _path(low, l), 0, "parents are spent");
            for (uint256 h = 0; h < 3; ++h) {
                _assertBalance(alice, _path(low, l, high, h), 10, "low first");
                _assertBalance(bob, _path(low, l, high, h), 10, "high first");
            }
        }
        // ... so that Bob can leave by the way Alice came.
        for (uint256 outcome = 0; outcome < 2; ++outcome) _pullUp(bob, _path(low, outcome), high, 10);
        _pullUp(bob, _path(), low, 10);
        vm.assertEq(token.balanceOf(bob), FUNDS, "bob is out");
    }

    function test_pushDown_skipsRuledOutOutcomes() public {
        QuestionId question = _ask(4);
        _pushDown(alice, _path(), question, 100);
        _narrow(question, 10);
        _pushDown(alice, _path(), question, 7);
        _assertBalance(alice, _path(question, 0), 100, "ruled out");
        _assertBalance(alice, _path(question, 1), 107, "survivor");
        _assertBalance(alice, _path(question, 2), 100, "ruled out");
        _assertBalance(alice, _path(question, 3), 107, "last");
    }

    function test_pushDown_takesTheLargestAmountAndNoMore() public {
        token.mint(alice, 2 ** 128);
        QuestionId question = _ask(2);
        _pushDown(alice, _path(), question, MAX_AMOUNT);
        _pushDown(alice, _path(), question, MAX_AMOUNT);
        _assertBalance(alice, _path(question, 1), 2 * MAX_AMOUNT, "sums may exceed one amount");
        _expect(abi.encodeWithSelector(IMultiverse.AmountTooLarge.selector, MAX_AMOUNT + 1));
        _pushDown(alice, _path(), question, MAX_AMOUNT + 1);
    }

    function test_pushDown_revertsForZero() public {
        QuestionId question = _ask(2);
        _expect(abi.encodeWithSelector(IMultiverse.ZeroAmount.selector));
        _pushDown(alice, _path(), question, 0);
    }

    function test_pushDown_revertsToNobody() public {
        QuestionId question = _ask(2);
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.ReceiverIsZero.selector));
        ledger.pushDown(_path(), question, address(token), 1, address(0));
    }

    function test_pushDown_revertsForUnknownQuestions() public {
        QuestionId question = QuestionId.wrap(bytes32(uint256(2)));
        _expect(abi.encodeWithSelector(IMultiverse.UnknownQuestion.selector, question));
        _pushDown(alice, _path(), question, 1);
    }

    function test_pushDown_revertsOnceResolved() public {
        QuestionId question = _ask(3);
        _narrow(question, 2);
        _expect(abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, 1));
        _pushDown(alice, _path(), question, 1);
        vm.warp(DEADLINE);
        _expect(abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, 1));
        _pushDown(alice, _path(), question, 1);
    }

    function test_pushDown_revertsFromTheDeadlineOn() public {
        QuestionId question = _ask(3);
        vm.warp(DEADLINE);
        _expect(abi.encodeWithSelector(IMultiverse.DeadlinePassed.selector, question, DEADLINE, DEADLINE));
        _pushDown(alice, _path(), question, 1);
        ledger.expire(question);
        _expect(abi.encodeWithSelector(IMultiverse.AlreadyResolved.selector, question, 2));
        _pushDown(alice, _path(), question, 1);
    }

    function test_pushDown_revertsWhenThePathDoesNotAscend() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        QuestionId question = _ask(2);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        _pushDown(alice, _path(high, 0, low, 0), question, 1);
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        _pushDown(alice, _path(low, 0, low, 1), question, 1);
    }

    function test_pushDown_revertsWhenTheQuestionIsInThePath() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _expect(abi.encodeWithSelector(IMultiverse.QuestionInPath.selector, low));
        _pushDown(alice, _path(low, 0, high, 0), low, 1);
        _expect(abi.encodeWithSelector(IMultiverse.QuestionInPath.selector, high));
        _pushDown(alice, _path(low, 0, high, 0), high, 1);
        // A repetition that hides behind a disorder is found as a disorder.
        _expect(abi.encodeWithSelector(IMultiverse.PathNotAscending.selector, 1));
        _pushDown(alice, _path(high, 0, low, 0), low, 1);
    }

    function test_pushDown_revertsForOutcomesThatDoNotExist() public {
        (QuestionId low, QuestionId high) = _askPair(2, 3);
        _pushDown(alice, _path(), low, 100);
        uint8[2] memory wrong = [2, 255];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _expect(abi.encodeWithSelector(IMultiverse.OutcomeOutOfRange.selector, low, uint256(wrong[i])));
            _pushDown(alice, _path(low, wrong[i]), high, 1);
        }
    }

    function test_pushDown_revertsWithoutTheParentsBalance() public {
        (QuestionId low, QuestionId high) = _askPair(2, 2);
        _pushDown(alice, _path(), low, 100);
        _expect(_insufficient(alice, _path(low, 1), 100, 101));
        _pushDown(alice, _path(low, 1), high, 101);
        _expect(_insufficient(bob, _path(low, 1), 0, 1));
        _pushDown(bob, _path(low, 1), high, 1);
    }

    function test_pushDown_revertsForTheLedgerAndForCodelessTokens() public {
        QuestionId question = _ask(2);
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, address(ledger)));
        ledger.pushDown(_path(), question, address(ledger), 1, alice);
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.InvalidToken.selector, bob));
        ledger.pushDown(_path(), question, bob, 1, alice);
    }

    function _assertTransfer(
        Vm.Log memory log,
        address from,
        address to,
        Answer[] memory path,
        uint256 amount
    ) private view {
        vm.assertEq(log.topics[0], IERC6909.Transfer.selector, "transfer");
        vm.assertEq(log.topics[1], bytes32(uint256(uint160(from))), "from");
        vm.assertEq(log.topics[2], bytes32(uint256(uint160(to))), "to");
        vm.assertEq(log.topics[3], bytes32(PositionId.unwrap(_id(path))), "id");
        vm.assertEq(keccak256(log.data), keccak256(abi.encode(alice, amount)), "caller and amount");
    }
}
