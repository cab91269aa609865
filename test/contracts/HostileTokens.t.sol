// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { IMultiverse } from "../../contracts/interfaces/IMultiverse.sol";
import { IMultiverseLens } from "../../contracts/interfaces/IMultiverseLens.sol";
import { PositionId } from "../../contracts/types/PositionId.sol";
import { QuestionId } from "../../contracts/types/QuestionId.sol";
import { Answer, VerseId } from "../../contracts/types/VerseId.sol";
import { Base } from "./utils/Base.sol";
import { HookToken, MoodyToken } from "./utils/Tokens.sol";

/// @notice Tokens that turn on those who hold them: their harm stays their own, and every refusal has a name.
contract HostileTokensTest is Base {
    QuestionId private question;
    MoodyToken private moody;

    function setUp() public override {
        super.setUp();
        question = _ask(2);
        moody = new MoodyToken();
        moody.mint(alice, 1e30);
        vm.prank(alice);
        moody.approve(address(ledger), type(uint256).max);
    }

    /* every refusal has a name */

    function test_refusals_areNamedOnTheWayIn() public {
        MoodyToken.Mood[3] memory moods = [
            MoodyToken.Mood.SAYS_FALSE,
            MoodyToken.Mood.REVERTS_BLANK,
            MoodyToken.Mood.REVERTS_ODDLY
        ];
        for (uint256 i = 0; i < moods.length; ++i) {
            moody.feel(moods[i]);
            _expect(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(moody)));
            _push(alice, 100);
        }
        moody.feel(MoodyToken.Mood.REVERTS_BY_NAME);
        _expect(abi.encodeWithSelector(MoodyToken.Refused.selector, alice, address(ledger), 100));
        _push(alice, 100);
        vm.assertEq(_held(alice), 0, "nothing given");
    }

    function test_refusals_areNamedOnTheWayOut() public {
        _push(alice, 100);
        MoodyToken.Mood[3] memory moods = [
            MoodyToken.Mood.SAYS_FALSE,
            MoodyToken.Mood.REVERTS_BLANK,
            MoodyToken.Mood.REVERTS_ODDLY
        ];
        for (uint256 i = 0; i < moods.length; ++i) {
            moody.feel(moods[i]);
            _expect(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(moody)));
            _pull(alice, 100, alice);
        }
        moody.feel(MoodyToken.Mood.REVERTS_BY_NAME);
        _expect(abi.encodeWithSelector(MoodyToken.Refused.selector, address(ledger), alice, 100));
        _pull(alice, 100, alice);
        vm.assertEq(_held(alice), 100, "nothing taken");
        moody.feel(MoodyToken.Mood.FINE);
        _pull(alice, 100, alice);
        vm.assertEq(moody.balanceOf(alice), 1e30, "out as soon as it lets go");
    }

    function test_refusals_ofTokensThatDoNotTellBalances() public {
        bytes memory invalid = abi.encodeWithSelector(IMultiverse.InvalidToken.selector, address(moody));
        MoodyToken.Mood[2] memory moods = [
            MoodyToken.Mood.SAYS_NOTHING_OF_BALANCES,
            MoodyToken.Mood.SAYS_TOO_LITTLE_OF_BALANCES
        ];
        for (uint256 i = 0; i < moods.length; ++i) {
            moody.feel(moods[i]);
            _expect(invalid);
            _push(alice, 100);
            VerseId root = ledger.verseId(_path());
            _expect(invalid);
            ledger.multiverseMap(root, address(moody), alice);
        }
    }

    function test_refusals_ofPermitsByTokensThatHaveNone() public {
        // Neither a permit nor an allowance to be found there.
        vm.prank(alice);
        _expect(abi.encodeWithSelector(IMultiverse.PermitFailed.selector, address(ledger), bytes("")));
        ledger.selfPermit(address(ledger), 1, block.timestamp, 27, 0, 0);
        // No permit, but what it was for is there.
        vm.prank(alice);
        ledger.selfPermit(address(moody), type(uint256).max, block.timestamp, 27, 0, 0);
        vm.prank(bob);
        _expect(abi.encodeWithSelector(IMultiverse.PermitFailed.selector, address(moody), bytes("")));
        ledger.selfPermit(address(moody), 1, block.timestamp, 27, 0, 0);
    }

    /* harm stays within the token */

    function test_rebaseDown_harmsOnlyThoseWhoLeaveLast() public {
        moody.mint(bob, 100);
        vm.prank(bob);
        moody.approve(address(ledger), 100);
        _push(alice, 100);
        _push(bob, 100);
        _pushDown(carol, _path(), question, 100);
        moody.rebase(address(ledger), 150);
        _pull(alice, 100, alice);
        _expect(abi.encodeWithSignature("ERC20InsufficientBalance(address,uint256,uint256)", ledger, 50, 100));
        _pull(bob, 100, bob);
        _pull(bob, 50, bob);
        vm.assertEq(_held(bob), 50, "what is lost is lost");
        _pullUp(carol, _path(), question, 100);
        vm.assertEq(token.balanceOf(carol), FUNDS, "no other token is touched");
    }

    function test_rebaseUp_isNobodysAndDonationsOfAnySizeAreNot() public {
        _push(alice, 100);
        moody.rebase(address(ledger), type(uint128).max);
        _push(alice, 50);
        vm.assertEq(_held(alice), 150, "what was pushed");
        _expect(_insufficientMoody(alice, 150, 151));
        _pull(alice, 151, alice);
        _pull(alice, 150, alice);
        vm.assertEq(moody.balanceOf(address(ledger)), uint256(type(uint128).max) - 100, "stays");
    }

    function test_blocklist_holdsOnlyTheBlockedUp() public {
        uint256 id = _moodyId(0);
        _push(alice, 100);
        vm.prank(alice);
        ledger.transfer(bob, id, 40);
        _narrow(question, 1);
        moody.setBlocked(alice, true);
        _expect(abi.encodeWithSelector(MoodyToken.Refused.selector, address(ledger), alice, 60));
        _pull(alice, 60, alice);
        _pull(bob, 40, bob);
        // The blocked owner can still name another receiver, or hand the position on.
        _pull(alice, 30, carol);
        vm.prank(alice);
        ledger.transfer(bob, id, 30);
        _pull(bob, 30, bob);
        vm.assertEq(moody.balanceOf(bob) + moody.balanceOf(carol), 100, "everybody else is out");
    }

    function test_supply_of2To256IsCarried() public {
        MoodyToken vast = new MoodyToken();
        vast.mint(alice, type(uint256).max);
        vm.startPrank(alice);
        vast.approve(address(ledger), type(uint256).max);
        // Almost all of it is in the ledger already, so that one deposit more than fits would overflow.
        vast.transfer(address(ledger), type(uint256).max - MAX_AMOUNT - 5);
        ledger.pushDown(_path(), question, address(vast), MAX_AMOUNT, alice);
        ledger.pushDown(_path(), question, address(vast), 5, alice);
        vm.assertEq(vast.balanceOf(address(ledger)), type(uint256).max, "all of it");
        ledger.pullUp(_path(), question, address(vast), MAX_AMOUNT, alice);
        ledger.pullUp(_path(), question, address(vast), 5, alice);
        vm.stopPrank();
        vm.assertEq(vast.balanceOf(alice), MAX_AMOUNT + 5, "what was pushed, nothing of what was given away");
    }

    /* callbacks */

    /// @dev What the guard lets through from inside a callback is what touches no token: it must leave the same books.
    function test_callbacks_thatMoveNoTokenDoWhatTheyDoOutside() public {
        HookToken hook = new HookToken();
        Insider insider = new Insider(ledger, hook, question);
        hook.mint(address(insider), 1000);
        insider.pushDown(100);
        uint256 id = PositionId.unwrap(ledger.positionId(ledger.verseId(_path(question, 0)), address(hook)));
        bytes[] memory calls = new bytes[](7);
        calls[0] = abi.encodeCall(ledger.transfer, (bob, id, 1));
        calls[1] = abi.encodeCall(ledger.transferFrom, (address(insider), bob, id, 1));
        calls[2] = abi.encodeCall(ledger.approve, (bob, id, 7));
        calls[3] = abi.encodeCall(ledger.setOperator, (carol, true));
        calls[4] = abi.encodeCall(ledger.setRedeemer, (carol, true));
        calls[5] = abi.encodeCall(ledger.describe, (_path(question, 0), address(hook)));
        calls[6] = abi.encodeCall(ledger.ask, (oracle, 2, DEADLINE, 0, 0, ""));
        uint256 held = 100;
        for (uint256 i = 0; i < calls.length; ++i) {
            for (uint256 before = 0; before < 2; ++before) {
                insider.arm(calls[i], before == 1);
                insider.pushDown(10);
                vm.assertTrue(!insider.failed(), "let through");
                held += i < 2 ? 9 : 10;
                vm.assertEq(ledger.balanceOf(address(insider), id), held, "the sum of both");
                vm.assertEq(hook.balanceOf(address(ledger)), 100 + 10 * (2 * i + before + 1), "collateral");
            }
        }
        vm.assertEq(ledger.balanceOf(bob, id), 4, "what was handed on");
        // A transfer of more than there is yet: the deposit being made is not there to spend.
        insider.arm(abi.encodeCall(ledger.transfer, (bob, id, held + 1)), false);
        insider.pushDown(10);
        vm.assertTrue(insider.failed(), "not given before it has arrived");
    }

    /// @dev Every view, looked at from inside each callback of a push-down and a pull-up.
    function test_callbacks_seeConsistentViews() public {
        HookToken hook = new HookToken();
        IMultiverseLens lens = IMultiverseLens(
            _deploy("contracts/MultiverseLens.sol:MultiverseLens", abi.encode(ledger))
        );
        Onlooker onlooker = new Onlooker(ledger, lens, hook, question, alice);
        hook.mint(alice, 1000);
        vm.startPrank(alice);
        hook.approve(address(ledger), type(uint256).max);
        ledger.pushDown(_path(), question, address(hook), 100, alice);
        for (uint256 before = 0; before < 2; ++before) {
            hook.arm(address(onlooker), abi.encodeCall(onlooker.look, ()), before == 1);
            ledger.pushDown(_path(), question, address(hook), 10, alice);
            vm.assertTrue(!hook.failed(), "looked");
            vm.assertEq(onlooker.held(), 100, "as before the push-down");
            vm.assertEq(onlooker.collateral(), before == 1 ? 100 : 110, "covered");

            hook.arm(address(onlooker), abi.encodeCall(onlooker.look, ()), before == 1);
            ledger.pullUp(_path(), question, address(hook), 10, alice);
            vm.assertTrue(!hook.failed(), "looked");
            vm.assertEq(onlooker.held(), 100, "as after the pull-up");
            vm.assertEq(onlooker.collateral(), before == 1 ? 110 : 100, "covered");
        }
        vm.stopPrank();
    }

    function _push(address owner, uint256 amount) private {
        vm.prank(owner);
        ledger.pushDown(_path(), question, address(moody), amount, owner);
    }

    function _pull(address owner, uint256 amount, address to) private {
        vm.prank(owner);
        ledger.pullUp(_path(), question, address(moody), amount, to);
    }

    function _moodyId(uint256 outcome) private view returns (uint256) {
        return PositionId.unwrap(ledger.positionId(ledger.verseId(_path(question, outcome)), address(moody)));
    }

    function _held(address owner) private view returns (uint256) {
        return ledger.balanceOf(owner, _moodyId(0));
    }

    function _insufficientMoody(address owner, uint256 balance, uint256 needed) private view returns (bytes memory) {
        bytes4 selector = IMultiverse.InsufficientBalance.selector;
        return abi.encodeWithSelector(selector, owner, _moodyId(0), balance, needed);
    }
}

/// @notice An owner whom its token calls in the middle of its own push-down.
contract Insider {
    IMultiverse private immutable ledger;
    HookToken private immutable hook;
    QuestionId private immutable question;
    bytes private _call;
    bool public failed;

    constructor(IMultiverse ledger_, HookToken hook_, QuestionId question_) {
        (ledger, hook, question) = (ledger_, hook_, question_);
        hook_.approve(address(ledger_), type(uint256).max);
    }

    function pushDown(uint256 amount) external {
        ledger.pushDown(new Answer[](0), question, address(hook), amount, address(this));
    }

    function arm(bytes calldata call, bool before) external {
        _call = call;
        hook.arm(address(this), abi.encodeCall(this.act, ()), before);
    }

    function act() external {
        (bool ok, ) = address(ledger).call(_call);
        failed = !ok;
    }
}

/// @notice Compares every view with every other from inside a token's callback.
contract Onlooker {
    error Inconsistent(uint256 a, uint256 b);

    IMultiverse private immutable ledger;
    IMultiverseLens private immutable lens;
    HookToken private immutable hook;
    QuestionId private immutable question;
    address private immutable owner;
    uint256 public held;
    uint256 public collateral;

    constructor(IMultiverse ledger_, IMultiverseLens lens_, HookToken hook_, QuestionId question_, address owner_) {
        (ledger, lens, hook, question, owner) = (ledger_, lens_, hook_, question_, owner_);
    }

    function look() external {
        Answer[][] memory paths = new Answer[][](2);
        address[] memory tokens = new address[](1);
        tokens[0] = address(hook);
        for (uint8 outcome = 0; outcome < 2; ++outcome) {
            paths[outcome] = new Answer[](1);
            paths[outcome][0] = Answer(question, outcome);
        }
        VerseId verse = ledger.verseId(paths[0]);
        held = ledger.balanceOf(owner, PositionId.unwrap(ledger.positionId(verse, address(hook))));
        collateral = hook.balanceOf(address(ledger));
        if (ledger.live(question) != 3) revert Inconsistent(ledger.live(question), 3);
        _same(held, ledger.multiverseMap(verse, address(hook), owner));
        _same(held, ledger.multiverseMap(ledger.verseId(paths[1]), address(hook), owner));
        uint256[][] memory amounts = lens.balances(owner, paths, tokens);
        _same(held, amounts[0][0]);
        _same(held, amounts[1][0]);
        IMultiverseLens.PullUp[] memory found = lens.pullUps(owner, paths, tokens);
        _same(found.length, 1);
        _same(held, found[0].amount);
        if (held > collateral) revert Inconsistent(held, collateral);
    }

    function _same(uint256 a, uint256 b) private pure {
        if (a != b) revert Inconsistent(a, b);
    }
}
